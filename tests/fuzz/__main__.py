"""Compares the two ways of publishing with each other and with aiohttp's reading of the same bytes, and the two ways of
hearing what others publish through Redis, for as long as it is told to:

    python -m tests.fuzz --minutes 30 --seed 1

Ends with 1 at the first difference and shows the seed that makes it again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.fuzz import message_sides, messages
from tests.fuzz.publish_sides import AioHttp, Side, difference
from tests.fuzz.publishes import Maker


async def fuzz(first: int, seconds: float) -> tuple[int, str]:
    """(how many were played, the first difference or "")."""
    plain, python, aiohttp = Side(plain=True), Side(plain=False), AioHttp()
    hearing = message_sides.Subscriber(plain=True), message_sides.Subscriber(plain=False)
    seed, end = first, time.monotonic() + seconds
    while time.monotonic() < end:
        found = difference(Maker(seed).pieces(), plain, python, aiohttp)
        found = found or message_sides.difference(*messages.made(seed), *hearing)
        if found:
            return seed - first, f"seed {seed}: {found}"
        seed += 1
    return seed - first, ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    count, found = asyncio.run(fuzz(options.seed, options.minutes * 60))
    print(found or f"{count} inputs, no difference")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
