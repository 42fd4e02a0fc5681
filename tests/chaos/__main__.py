"""`python -m tests.chaos --seconds N --seed S` breaks a cluster of processes for a while; what was told is judged."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.chaos.grounds import GROUNDS
from tests.chaos.judge import Violation, play
from tests.chaos.plan import Plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=140, help="how long there is trouble")
    parser.add_argument("--seed", type=int, help="of the schedule; chosen by chance if none is given")
    parser.add_argument("--guests", type=int, default=300, help="clients that come and go")
    parser.add_argument("--on", choices=sorted(GROUNDS), default="one", help="one Valkey, Sentinel, or a Redis Cluster")
    parser.add_argument("-q", "--quiet", action="store_true", help="show the table alone")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    began = time.monotonic()
    words = f"--seconds {options.seconds:g} --seed {seed} --guests {options.guests} --on {options.on}"
    print(f"seed {seed}: python -m tests.chaos {words}")
    try:
        plan = Plan.of(seed, options.seconds, options.guests)
        shown = play(plan, None if options.quiet else _say, GROUNDS[options.on]())
    except Violation as violation:
        print(violation)
        print(f"seed {seed}: FAILED after {time.monotonic() - began:.0f} s")
        return 1
    print(shown)
    print(f"seed {seed}: all was right; {time.monotonic() - began:.0f} s")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
