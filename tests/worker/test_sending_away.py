"""Clients are sent away with a close frame each, at the pace that was asked for."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from engine._fast.connection import Connection
from engine.errors import CloseCode
from engine.worker.sending_away import send_away


class Client:
    """Stands for a connection: only what is done to it matters here."""

    def __init__(self, now: Any, *, closing: bool = False) -> None:
        self.closing = closing
        self.got: list[Any] = []
        self.at = 0.0
        self._now = now

    def send(self, frame: bytes) -> None:
        self.got.append(frame)

    def close(self, code: int, reason: str) -> None:
        self.got.append(code)
        self.at = self._now()


async def sent(number: int, pace: float, within_s: float | None = None, closing: bool = False) -> list[Client]:
    clients = [Client(asyncio.get_running_loop().time, closing=closing) for _ in range(number)]
    await send_away(cast(list[Connection], clients), CloseCode.RECONNECT, pace, within_s)
    return clients


async def test_everybody_is_told_and_closed() -> None:
    for client in await sent(1000, 0.0):
        assert b'"code":4200' in client.got[0]
        assert client.got[1:] == [4200]


async def test_whoever_leaves_already_is_left_alone() -> None:
    assert all(not client.got for client in await sent(3, 0.0, closing=True))


async def test_the_pace_is_kept() -> None:
    times = sorted(client.at for client in await sent(100, 200.0))
    assert times[-1] - times[0] >= 0.3
    assert times[49] - times[0] >= 0.1


async def test_the_pace_gives_way_to_the_time_there_is() -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await sent(300, 1.0, within_s=0.2)
    assert loop.time() - began < 10


async def test_what_was_published_before_a_slice_is_handed_over_before_it() -> None:
    loop = asyncio.get_running_loop()
    clients = [Client(loop.time) for _ in range(300)]
    gone_at: list[int] = []

    async def settle() -> None:
        gone_at.append(sum(bool(client.got) for client in clients))

    await send_away(cast(list[Connection], clients), CloseCode.RECONNECT, 2000.0, settle=settle)
    assert gone_at[0] == 0, "before the first"
    assert len(set(gone_at)) > 1, "and before those that follow"
    assert gone_at == sorted(gone_at)
    assert gone_at[-1] < len(clients)
