"""`make soak`: minutes of churn of every kind, at whose end all must be as at the start; and what each leaves behind.

Ends with 1 when descriptors, keys in Redis or gauges do not come back, or when memory grows by more than `--bound`
bytes for each thing that is done.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import statistics
import sys
import time
from typing import Any

from tests.soak.figures import Figures, at_rest, at_start, come_back
from tests.soak.visitors import KINDS, crowd
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer

EVENTS = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "cache_miss"]
VISITORS = 8
#: Between two rounds.
PAUSE_S = 0.5
#: That memory may grow by without a leak, by how an allocator finds room.
NOISE_BYTES = 65536
#: Of the time; after each one the memory is looked at.
PARTS = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of churn of all kinds (default: 60)")
    parser.add_argument("--each", type=int, default=4000, help="things of each kind whose leak is measured")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--bound", type=float, default=1, help="bytes that may be left of each thing (default: 1)")
    options = parser.parse_args()
    with WebhookReceiver() as receiver, ValkeyServer() as valkey, running(_config(receiver, valkey), 2) as engine:
        # All that is made once was made; a worker whose pools have their size begins here.
        _play(engine, receiver, random.Random(options.seed), 60 * min(1.0, options.minutes / 10))
        start = at_start(engine, valkey)
        print(f"seed {options.seed}; at the start {_said(start)}", flush=True)
        floors: list[tuple[int, int]] = []
        done = dict.fromkeys(KINDS, 0)
        for part in range(PARTS):
            played = _play(engine, receiver, random.Random(options.seed + 1 + part), 60 * options.minutes / PARTS)
            done = {kind: count + played[kind] for kind, count in done.items()}
            floors.append((sum(done.values()), at_rest(engine, valkey).memory))
            print(f"part {part + 1} of {PARTS}: {_part(floors[-1], start)}", flush=True)
        end, left = come_back(engine, valkey, start)
        print(f"after {options.minutes:g} minutes {_said(end)}", *left, sep="\n")
        print(", ".join(f"{count} x {kind}" for kind, count in done.items()), flush=True)
        per_thing = _slope(floors[len(floors) // 2 - 1 :])
        print(f"memory since the half of the time: {per_thing:+.2f} bytes for each thing that was done", flush=True)
        leaks = {kind: _leak(engine, valkey, receiver, kind, options.each) for kind in KINDS}
        wrong = [kind for kind, grown in leaks.items() if min(grown) > options.bound + NOISE_BYTES / options.each]
        if wrong:
            print("leaves something behind:", *wrong)
    return 1 if left or wrong or per_thing > options.bound else 0


def _play(engine: Engine, receiver: WebhookReceiver, chance: random.Random, seconds: float) -> dict[str, int]:
    """Churn of all kinds; how many things of each were done."""
    done = dict.fromkeys(KINDS, 0)

    async def play() -> None:
        end_s = time.monotonic() + seconds
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

    asyncio.run(play())
    return done


def _slope(seen: list[tuple[int, int]]) -> float:
    """Bytes for each thing, by the line nearest to all that was seen: (things done by then, memory)."""
    return statistics.linear_regression([done for done, _ in seen], [size for _, size in seen]).slope


def _part(seen: tuple[int, int], start: Figures) -> str:
    return f"{seen[0]} things, {seen[1] / 2**20:.2f} MiB, {seen[1] - start.memory:+} bytes"


def _leak(engine: Engine, valkey: ValkeyServer, receiver: WebhookReceiver, kind: str, count: int) -> list[float]:
    """Bytes that one of the kind leaves, by the growth over `count` of them after as many, twice."""
    sizes: list[int] = []
    for _ in range(3):
        asyncio.run(crowd(kind, engine.port, VISITORS, count // VISITORS))
        receiver.requests.clear()
        sizes.append(at_rest(engine, valkey).memory)
    grown = [(after - before) / count for before, after in itertools.pairwise(sizes)]
    print(f"| {kind} | {' | '.join(f'{each:+.1f}' for each in grown)} |", flush=True)
    return grown


def _said(seen: Figures) -> str:
    keys = f"{len(seen.keys)} keys with {sum(seen.keys.values())} things in them"
    files = f"{seen.files.total()} descriptors and {seen.links} links"
    return f"{seen.memory / 2**20:.1f} MiB, {files}, {keys}, gauges {seen.gauges or 'all 0'}"


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
