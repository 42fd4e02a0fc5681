"""`make soak`: minutes of churn of every kind, at whose end all must be as at the start; and what each leaves behind.

Ends with 1 when descriptors, keys in Redis or gauges do not come back, when what the workers have in use grows by more
than `--bound` bytes for each thing that is done, or when their memory goes on growing.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.soak.figures import Figures, at_rest, at_start, come_back, live
from tests.soak.inside.sitecustomize import FOLDER
from tests.soak.visitors import KINDS, crowd
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer

EVENTS = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "cache_miss"]
VISITORS = 8
#: Between two rounds.
PAUSE_S = 0.5
#: That what is in use may be more by without a leak: a cache that was not full, a dictionary that has doubled.
NOISE_BYTES = 16384
#: That memory may grow by from the half of the time on, by how an allocator finds room.
ROOM_BYTES = 4 << 20
#: A slope whose error is so many times as large is none.
SURE = 2
#: Of the time; after each one the memory is looked at.
PARTS = 12


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of churn of all kinds (default: 60)")
    parser.add_argument("--each", type=int, default=4000, help="things of each kind whose leak is measured")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--bound", type=float, default=1, help="bytes that may be left of each thing (default: 1)")
    options = parser.parse_args()
    with (
        TemporaryDirectory(prefix="soak-") as folder,
        WebhookReceiver() as receiver,
        ValkeyServer() as valkey,
        running(_config(receiver, valkey), 2, env=_environment(folder)) as engine,
    ):
        answers = Path(folder)
        # All that is made once was made; a worker whose pools have their size begins here.
        _play(engine, receiver, random.Random(options.seed), 60 * min(1.0, options.minutes / 10))
        start = at_start(engine, valkey)
        print(f"seed {options.seed}; at the start {_said(start)}", flush=True)
        print("| things done | in use, bytes | memory, MiB |\n|---:|---:|---:|")
        seen = [Seen(0, live(engine, answers), start.memory)]
        print(seen[-1], flush=True)
        done = dict.fromkeys(KINDS, 0)
        for part in range(PARTS):
            played = _play(engine, receiver, random.Random(options.seed + 1 + part), 60 * options.minutes / PARTS)
            done = {kind: count + played[kind] for kind, count in done.items()}
            now = at_rest(engine, valkey)
            seen.append(Seen(sum(done.values()), live(engine, answers), now.memory))
            print(seen[-1], flush=True)
        end, left = come_back(engine, valkey, start)
        print(f"after {options.minutes:g} minutes {_said(end)}", *left, sep="\n")
        print(", ".join(f"{count} x {kind}" for kind, count in done.items()), flush=True)
        late = seen[PARTS // 2 :]
        slope, error = _slope(late)
        grown = late[-1].memory - late[0].memory
        print(f"since the half of the time {slope:+.2f} bytes in use for each thing that was done (error {error:.2f})")
        print(f"and {grown / 2**20:+.2f} MiB of memory", flush=True)
        print("| kind | bytes left of each | once more |\n|---|---:|---:|")
        leaks = {kind: _leak(engine, valkey, receiver, kind, options.each, answers) for kind in KINDS}
        wrong = [kind for kind, more in leaks.items() if min(more) > options.bound + NOISE_BYTES / options.each]
        if wrong:
            print("leaves something behind:", *wrong)
    return 1 if left or wrong or slope - SURE * error > options.bound or grown > ROOM_BYTES else 0


class Seen(NamedTuple):
    """What the workers had once so many things were done, and all was at rest again."""

    done: int
    live: int
    memory: int

    def __str__(self) -> str:
        return f"| {self.done:,} | {self.live:,} | {self.memory / 2**20:.2f} |"


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


def _slope(seen: Sequence[Seen]) -> tuple[float, float]:
    """Bytes in use for each thing, by the line nearest to all that was seen, and its standard error."""
    done, sizes = [each.done for each in seen], [each.live for each in seen]
    slope, start = statistics.linear_regression(done, sizes)
    middle = statistics.fmean(done)
    off = sum((size - start - slope * count) ** 2 for count, size in zip(done, sizes, strict=True))
    return slope, math.sqrt(off / (len(seen) - 2) / sum((count - middle) ** 2 for count in done))


def _leak(
    engine: Engine, valkey: ValkeyServer, receiver: WebhookReceiver, kind: str, count: int, answers: Path
) -> list[float]:
    """Bytes in use that one of the kind leaves, by the growth over `count` of them after as many, twice."""
    sizes: list[int] = []
    for _ in range(3):
        asyncio.run(crowd(kind, engine.port, VISITORS, count // VISITORS))
        receiver.requests.clear()
        at_rest(engine, valkey)
        sizes.append(live(engine, answers))
    grown = [(after - before) / count for before, after in itertools.pairwise(sizes)]
    print(f"| {kind} | {' | '.join(f'{each:+.1f}' for each in grown)} |", flush=True)
    return grown


def _environment(folder: str) -> dict[str, str]:
    inside = ROOT / "tests" / "soak" / "inside"
    return {"PYTHONPATH": f"{inside}{os.pathsep}{ROOT}", FOLDER: folder}


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
