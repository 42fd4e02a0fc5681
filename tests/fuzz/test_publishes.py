"""Publishes answered in C and in Python are answered alike: a short walk; `python -m tests.fuzz` goes on for longer."""

from __future__ import annotations

import asyncio

from tests.fuzz.publish_sides import AioHttp, Side, difference
from tests.fuzz.publishes import Maker

COUNT = 1500


def test_both_ways_of_publishing_agree() -> None:
    async def run() -> list[str]:
        plain, python, aiohttp = Side(plain=True), Side(plain=False), AioHttp()
        made = (Maker(seed).pieces() for seed in range(COUNT))
        return [found for pieces in made if (found := difference(pieces, plain, python, aiohttp))][:1]

    assert asyncio.run(run()) == []


def test_a_first_line_is_judged_as_before_when_the_lines_behind_it_are_known() -> None:
    """Header lines that were read before are not read again; every byte of a target is judged none the less."""

    def request(odd: bytes, at: int, header: bytes) -> bytes:
        line = b"POST /apps/3/events?auth_key=278d425bdf160c739803&auth_version=1.0 HTTP/1.1"
        return line[:at] + odd + line[at:] + b"\r\nHost: x\r\n" + header + b"\r\nContent-Length: 2\r\n\r\n{}"

    async def run() -> list[tuple[bytes, int]]:
        side, aiohttp, wrong = Side(plain=True), AioHttp(), []
        side.play([request(b"", 0, b"X-Known: 1")])
        for odd in [bytes([byte]) for byte in range(256)] + [b"\r\n", b" x", b"HTTP/1.1\r\n"]:
            for at in (0, 4, 5, 6, 30, 60, 66, 67, 75):
                known = request(odd, at, b"X-Known: 1")
                outcome = side.play([known])
                fresh = request(odd, at, b"X-%d: %d" % (at, odd[0]))
                again = side.play([fresh])
                kept = (again.answers, (again.handed_over or b"").partition(b"Host")[0])
                if (outcome.answers, (outcome.handed_over or b"").partition(b"Host")[0]) != kept or (
                    outcome.answers and not aiohttp.takes(known, 1)
                ):
                    wrong.append((odd, at))
        return wrong

    assert asyncio.run(run()) == []
