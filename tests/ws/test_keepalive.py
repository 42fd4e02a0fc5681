"""Who is taken for dead: nobody who shows any sign of life, in whatever form its library or browser knows."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from asyncpusher import Pusher

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine.protocol import messages
from engine.ws import keepalive
from engine.ws.keepalive import Keepalive
from tests._fast.pair import Raw, hub_server, masked
from tests.support.waiting import PATIENCE_S, until

PUSHER_PING = text_frame(messages.PING)
PING, PONG = b"\x89\x00", masked(0x8A, b"")
DEAD = text_frame(messages.error(4201, "Pong reply not received in time"))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not answered by the next sweep is dead."""
    monkeypatch.setattr(keepalive, "PONG_TIMEOUT_S", 0)


async def test_a_websocket_pong_is_a_sign_of_life() -> None:
    async with hub_server() as b:
        swept = Keepalive(b.hub, 0)
        answering, dead = [await Raw.connect(b.port) for _ in range(2)]
        await until(lambda: len(b.recorder.opened_) == 2)
        mine, _ = sorted(b.recorder.opened_, key=lambda connection: int(connection.socket_id.partition(".")[2]))
        for _ in range(2):
            swept.sweep()
            assert await _read(answering, PUSHER_PING + PING) == PUSHER_PING + PING
            answering.writer.write(PONG)
            await until(lambda: not mine.pinged)
        assert mine.close_code == 0
        assert await _read(dead, PUSHER_PING + PING + DEAD) == PUSHER_PING + PING + DEAD
        await answering.end()
        await dead.end()


async def test_a_page_has_to_answer_itself() -> None:
    """Its browser answers WebSocket pings, for a page that was left and does not run any more too."""
    async with hub_server() as b:
        swept = Keepalive(b.hub, 0)
        page = await Raw.connect(b.port)
        await until(lambda: b.recorder.opened_)
        b.recorder.opened_[0].is_page = True
        swept.sweep()
        swept.sweep()
        assert await _read(page, PUSHER_PING + DEAD) == PUSHER_PING + DEAD
        await page.end()


async def test_a_library_that_answers_websocket_pings_only_stays() -> None:
    """asyncpusher 0.2.5: a `pusher:ping` is an unknown event to it."""
    async with hub_server() as b:
        swept = Keepalive(b.hub, 0)

        class Greets(type(b.recorder)):  # type: ignore[misc]
            def opened(self, connection: Connection) -> None:
                super().opened(connection)
                connection.send(text_frame(messages.connection_established(connection.socket_id, 30)))

        b.recorder = Greets()
        client = Pusher(
            "key", custom_host="127.0.0.1", custom_port=b.port, secure=False, log=logging.getLogger("quiet")
        )
        async with asyncio.timeout(PATIENCE_S):
            await client.connect()
        connection = b.recorder.opened_[0]
        for _ in range(3):
            swept.sweep()
            assert connection.pinged
            await until(lambda: not connection.pinged)
        assert connection.close_code == 0
        await client.disconnect()
        await until(lambda: b.recorder.closed_)
        assert [json.loads(message) for message in b.recorder.messages] == []


async def _read(client: Raw, expected: bytes) -> bytes:
    """As many bytes as are expected."""
    async with asyncio.timeout(PATIENCE_S):
        return await client.reader.readexactly(len(expected))
