"""Reads something again and again while somebody looks at it, once for all who do, and never otherwise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import orjson

from engine.peers.guard import keep
from engine.tasks import cancel

#: Reading takes no more than this part of the time.
SHARE = 0.1


class Ticker:
    """:param read: what to look at. :param every_s: between two looks; longer where one takes long."""

    def __init__(self, read: Callable[[], Awaitable[dict[str, Any]]], name: str, every_s: float = 1.0) -> None:
        self._read = read
        self._name = name
        self._every_s = every_s
        self._listeners = 0
        self._task: asyncio.Task[None] | None = None
        self._latest = b""
        self._came = asyncio.Event()

    async def listen(self) -> AsyncGenerator[bytes]:
        """JSON of each look; of several that came while the last one was sent, the newest."""
        self._listeners += 1
        if self._task is None:
            self._latest = b""
            self._task = keep(self._look, self._name)
        try:
            seen = b""
            while True:
                came = self._came
                if self._latest and self._latest is not seen:
                    seen = self._latest
                    yield seen
                else:
                    await came.wait()
        finally:
            self._listeners -= 1
            if not self._listeners:
                task, self._task = self._task, None
                await cancel(task)

    async def _look(self) -> None:
        began = time.monotonic()
        self._latest = orjson.dumps(await self._read())
        came, self._came = self._came, asyncio.Event()
        came.set()
        took_s = time.monotonic() - began
        await asyncio.sleep(max(self._every_s - took_s, took_s / SHARE))
