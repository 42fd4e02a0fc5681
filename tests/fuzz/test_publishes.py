"""Publishes answered in C and in Python are answered alike: a short walk; `python -m tests.fuzz` goes on for longer."""

from __future__ import annotations

import asyncio

from tests.fuzz.__main__ import difference
from tests.fuzz.publish_sides import AioHttp, Side

COUNT = 1500


def test_both_ways_of_publishing_agree() -> None:
    async def run() -> list[str]:
        plain, python, aiohttp = Side(plain=True), Side(plain=False), AioHttp()
        return [found for seed in range(COUNT) if (found := difference(seed, plain, python, aiohttp))][:1]

    assert asyncio.run(run()) == []
