"""`python -m tests.returns`: clients are cut off and come back; each must end with every event, or a reported gap."""

from __future__ import annotations

import argparse
import sys

from tests.returns.scene import Options, play
from tests.support.node import missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.returns", description=__doc__)
    parser.add_argument("--returns", type=int, default=10_000, help="how many there are to be (default: 10000)")
    parser.add_argument("--pages", type=int, default=20, help="pusher-js clients (default: 20)")
    parser.add_argument("--raw", type=int, default=30, help="clients without a library (default: 30)")
    parser.add_argument("--long", type=float, default=0.02, help="part of cuts of 5 to 30 s (default: 0.02)")
    parser.add_argument("--kill-every", type=float, default=10.0, help="seconds between two kills (default: 10)")
    given = parser.parse_args()
    if reason := missing():
        print(reason)
        return 2
    pages, raw, about = play(Options(given.returns, given.pages, given.raw, given.long, given.kill_every), _say)
    print(about)
    for who, found in (("pusher-js", pages), ("without a library", raw)):
        gaps = ", ".join(f"{count} {reason}" for reason, count in found.gaps.items()) or "none"
        print(f"{who}: {found.returns} returns, {len(found.wrong)} wrong; gaps: {gaps}; replayed {found.replayed}")
    for wrong in (pages.wrong + raw.wrong)[:50]:
        print(wrong)
    return 1 if pages.wrong or raw.wrong else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
