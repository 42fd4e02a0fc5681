"""`make hostile`: hostile clients on each route, and what the others of that worker feel, as a table.

Beside the attacked engine stands another one, which nobody attacks, and whose clients are asked the same at the same
time: what both feel is the machine. What the worker itself computes between a question and its answer is no machine's
fault: ends with 1 when that is more than `--bound` ms (99th percentile), or when somebody was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from tests.hostile.attacks import ATTACKS
from tests.hostile.others import Felt, most_memory, percentile, pings
from tests.support.engine import ROOT, Engine, running

#: The attack is under way before the others are asked.
AHEAD_S = 1.0
COLUMNS = [
    "attack",
    "MB/s",
    "connections",
    "p99, ms",
    "p99 beside, ms",
    "worker's own p50, ms",
    "p99, ms",
    "MiB more",
    "lost",
]


async def play(
    name: str, attacked: Engine, idle: Engine, senders: int, clients: int, seconds: float
) -> tuple[Felt, Felt, float, int]:
    """(what was felt there, and beside it, MB/s that were sent, connections that it took)."""
    played_s = seconds + 2 * AHEAD_S
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.hostile.senders", name, str(attacked.port), str(senders), str(played_s)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(AHEAD_S)
    felt, beside = await asyncio.gather(pings(attacked, clients, seconds), pings(idle, clients, seconds))
    said, _ = await process.communicate()
    sent, connections = json.loads(said)
    return felt, beside, sent / played_s / 1e6, connections


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--senders", type=int, default=24, help="hostile clients (default: 24)")
    parser.add_argument("--clients", type=int, default=10, help="others on each engine (default: 10)")
    parser.add_argument("--seconds", type=float, default=6, help="of each attack (default: 6)")
    parser.add_argument("--bound", type=float, default=50, help="ms that a worker may compute meanwhile (default: 50)")
    parser.add_argument("--only", nargs="*", default=list(ATTACKS), help=f"of: {', '.join(ATTACKS)}")
    options = parser.parse_args()
    print(_row(COLUMNS), _row(["---"] * len(COLUMNS)), sep="\n", flush=True)
    wrong = 0
    with running(noise=None) as idle:
        for name in options.only:
            # One for each: what the last attack has left behind is none of the next one's.
            with running(noise=None) as attacked:
                worker = attacked.workers()[0]
                before = most_memory(worker)
                felt, beside, rate, connections = asyncio.run(
                    play(name, attacked, idle, options.senders, options.clients, options.seconds)
                )
                grown = (most_memory(worker) - before) / 2**20
            own = percentile(felt.worker_ms, 0.99)
            wrong += bool(felt.lost) or own > options.bound
            waits = [percentile(felt.waits_ms, 0.99), percentile(beside.waits_ms, 0.99)]
            figures = [*waits, percentile(felt.worker_ms, 0.5), own]
            cells = [
                ATTACKS[name].says,
                f"{rate:.1f}",
                connections,
                *(f"{each:.1f}" for each in [*figures, grown]),
                felt.lost,
            ]
            print(_row(cells), flush=True)
    return 1 if wrong else 0


def _row(cells: list[object] | list[str]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
