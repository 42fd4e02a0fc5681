"""Looks while somebody looks on."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from engine.console.ticker import Ticker
from tests.support.waiting import until


class Source:
    reads = 0

    async def read(self) -> dict[str, Any]:
        self.reads += 1
        if self.reads == 2:
            raise ValueError("once")
        return {"n": self.reads}


async def test_it_reads_for_all_listeners_at_once_and_for_nobody_not_at_all() -> None:
    source = Source()
    ticker = Ticker(source.read, "test", every_s=0.0)
    assert source.reads == 0
    first, second = ticker.listen(), ticker.listen()
    seen = [orjson.loads(await anext(first))["n"] for _ in range(3)]
    assert seen == sorted(set(seen)), "each newer than the one before, a failed one passed over"
    # Who was slow is given the newest alone.
    reads = source.reads
    await until(lambda: source.reads > reads + 3)
    assert orjson.loads(await anext(second))["n"] > reads
    await first.aclose()  # type: ignore[attr-defined]
    assert orjson.loads(await anext(second))["n"] > reads
    await second.aclose()  # type: ignore[attr-defined]
    reads = source.reads
    for _ in range(20):
        await asyncio.sleep(0)
    assert source.reads == reads
