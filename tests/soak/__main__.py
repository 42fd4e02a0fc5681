"""`make soak`: minutes of churn of every kind, at whose end all must be as at the start; and what each leaves behind.

Ends with 1 when descriptors, keys in Redis or gauges do not come back, or when memory has grown by more than `--bound`
bytes for each thing that was done.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import sys
import time
from typing import Any

from tests.soak.figures import PATIENCE_S, Figures, come_back, figures
from tests.soak.visitors import KINDS, crowd
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

EVENTS = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "cache_miss"]
VISITORS = 8
#: Between two rounds.
PAUSE_S = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of churn of all kinds (default: 60)")
    parser.add_argument("--each", type=int, default=4000, help="things of each kind whose leak is measured")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--bound", type=float, default=1, help="bytes that may be left of each thing (default: 1)")
    options = parser.parse_args()
    with WebhookReceiver() as receiver, ValkeyServer() as valkey, running(_config(receiver, valkey), 2) as engine:
        _play(engine, receiver, random.Random(options.seed), 60 * min(1.0, options.minutes / 10))
        # All that is made once was made; a worker whose pools have their size begins here.
        wait_until(lambda: not figures(engine, valkey).gauges, PATIENCE_S, "webhooks sent and nobody there")
        time.sleep(5)
        start = figures(engine, valkey)
        print(f"seed {options.seed}; at the start {_said(start)}", flush=True)
        done = _play(engine, receiver, random.Random(options.seed + 1), 60 * options.minutes)
        end, left = come_back(engine, valkey, start)
        per_thing = (end.memory - start.memory) / max(1, sum(done.values()))
        print(f"after {options.minutes:g} minutes {_said(end)}", *left, sep="\n")
        print(", ".join(f"{count} x {kind}" for kind, count in done.items()), flush=True)
        print(f"memory: {end.memory - start.memory:+} bytes, {per_thing:+.1f} for each thing that was done", flush=True)
        for kind in KINDS:
            print(f"| {kind} | {_leak(engine, valkey, receiver, kind, options.each)} |", flush=True)
    return 1 if left or per_thing > options.bound else 0


def _play(engine: Engine, receiver: WebhookReceiver, chance: random.Random, seconds: float) -> dict[str, int]:
    """Churn of all kinds; how many things of each were done."""
    done = dict.fromkeys(KINDS, 0)

    async def play() -> None:
        end_s, started_s, said = time.monotonic() + seconds, time.monotonic(), 0
        while time.monotonic() < end_s:
            kinds = chance.sample(list(KINDS), 3)
            counts = await asyncio.gather(
                *(crowd(kind, engine.port, VISITORS, chance.randrange(2, 60)) for kind in kinds)
            )
            for kind, count in zip(kinds, counts, strict=True):
                done[kind] += count
            receiver.requests.clear()
            # Webhooks are to be sent as fast as they come, even where the machine has more to do.
            await asyncio.sleep(PAUSE_S)
            minute = int((time.monotonic() - started_s) / 60)
            if minute > said:
                said = minute
                print(f"minute {minute}: {sum(done.values())} things", flush=True)

    asyncio.run(play())
    return done


def _leak(engine: Engine, valkey: ValkeyServer, receiver: WebhookReceiver, kind: str, count: int) -> str:
    """Bytes that one of the kind leaves, by the growth over `count` of them after as many."""
    sizes: list[Figures] = []
    for _ in range(3):
        asyncio.run(crowd(kind, engine.port, VISITORS, count // VISITORS))
        receiver.requests.clear()
        time.sleep(3)
        sizes.append(figures(engine, valkey))
    grown = [(after.memory - before.memory) / count for before, after in itertools.pairwise(sizes)]
    return " | ".join(f"{each:+.1f}" for each in grown)


def _said(seen: Figures) -> str:
    keys = f"{len(seen.keys)} keys with {sum(seen.keys.values())} things in them"
    return f"{seen.memory / 2**20:.1f} MiB, {seen.files} descriptors, {keys}, gauges {seen.gauges or 'all 0'}"


def _config(receiver: WebhookReceiver, valkey: ValkeyServer) -> dict[str, Any]:
    app = APP | {"webhooks": [{"url": f"{receiver.url}/hook", "event_types": EVENTS}]}
    return {
        "app_manager": {"array": {"apps": [app]}},
        "database": {"redis": {"url": valkey.url}},
        # Its cache channels' last events are gone when the end is looked at.
        "channel_limits": {"cache_ttl": 5, "max_joins_per_second": 0},
    }


if __name__ == "__main__":
    sys.exit(main())
