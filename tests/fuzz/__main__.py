"""Compares the two ways of publishing, and aiohttp's reading of the same bytes, for as long as it is told to:

    python -m tests.fuzz --minutes 30 --seed 1

Ends with 1 at the first difference and shows the seed that makes it again.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.fuzz.publish_sides import AioHttp, Side
from tests.fuzz.publishes import Maker


def difference(seed: int, plain: Side, python: Side, aiohttp: AioHttp) -> str:
    """What the sides do not agree on; "" when they agree."""
    pieces = Maker(seed).pieces()
    ours, theirs = plain.play(pieces), python.play(pieces)
    shown = f"seed {seed}, {pieces!r}"
    for name, a, b in zip(ours._fields, ours, theirs, strict=True):
        if a != b:
            return f"{name}: {a!r} in C, {b!r} in Python; {shown}"
    answered, data = ours.answers.count(b"HTTP/1.1 "), b"".join(pieces)
    # Of several, one may have been left for want of bytes that aiohttp does not want any more.
    if (
        ours.handed_over is None
        and answered == data.count(b"POST ") == 1
        and not aiohttp.takes(data[: len(data) - len(ours.handed_over or b"")], answered)
    ):
        return f"{answered} requests were answered that aiohttp does not take; {shown}"
    return ""


async def fuzz(first: int, seconds: float) -> tuple[int, str]:
    """(how many were played, the first difference or "")."""
    plain, python, aiohttp = Side(plain=True), Side(plain=False), AioHttp()
    seed, end = first, time.monotonic() + seconds
    while time.monotonic() < end:
        found = difference(seed, plain, python, aiohttp)
        seed += 1
        if found:
            return seed - first, found
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
