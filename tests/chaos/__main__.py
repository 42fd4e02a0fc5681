"""`python -m tests.chaos --seconds N --seed S` breaks a cluster of processes for a while; what was told is judged."""

from __future__ import annotations

import argparse
import random
import sys
import time

from tests.chaos.judge import Violation, play
from tests.chaos.plan import Plan


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=140, help="how long there is trouble")
    parser.add_argument("--seed", type=int, help="of the schedule; chosen by chance if none is given")
    parser.add_argument("--guests", type=int, default=300, help="clients that come and go")
    parser.add_argument("-q", "--quiet", action="store_true", help="show the table alone")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    began = time.monotonic()
    print(f"seed {seed}: python -m tests.chaos --seconds {options.seconds:g} --seed {seed} --guests {options.guests}")
    try:
        shown = play(Plan.of(seed, options.seconds, options.guests), None if options.quiet else _say)
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
