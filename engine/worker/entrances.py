"""A worker's listeners as one: that of the main port, and those of the HTTP API's own addresses.

They begin, close and end together, so that nobody who uses them need know how many there are. It serves nothing itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import NamedTuple

from engine.worker.listener import Listener


class Sockets(NamedTuple):
    """What a worker listens on. :ivar api: for the HTTP API only; empty where the main port serves it."""

    main: list[socket.socket]
    api: list[socket.socket]


class Entrances:
    """Does with all of them what `Listener` does with one. :ivar main: that of the main port, the first of them."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners
        self.main = listeners[0]

    async def start(self) -> None:
        for listener in self._listeners:
            await listener.start()

    async def close(self) -> None:
        await asyncio.gather(*(listener.close() for listener in self._listeners))

    async def finish_requests(self) -> None:
        await asyncio.gather(*(listener.finish_requests() for listener in self._listeners))

    async def stop(self) -> None:
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
