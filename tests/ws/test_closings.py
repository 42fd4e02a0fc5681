"""Sockets of connections that were left: ended at their time, whatever clients go on sending, and never too many."""

from __future__ import annotations

import pytest

from engine._fast.connection import Connection
from engine.ws import closings
from engine.ws.closings import CLOSE_TIMEOUT_S, MAX_REFUSED, Closings
from engine.ws.keepalive import Keepalive
from tests._fast.pair import HubServer, Raw, Recorder, hub_server, masked
from tests.support.reset import is_reset
from tests.support.waiting import until


class Watched(Recorder):
    """Tells a Keepalive what becomes of connections, as `ws/handlers.py` does."""

    def __init__(self, keepalive: Keepalive) -> None:
        super().__init__()
        self._keepalive = keepalive

    def leaving(self, connection: Connection) -> None:
        super().leaving(connection)
        self._keepalive.leaving(connection, refused=False)

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        super().closed(connection, code, reason)
        self._keepalive.gone(connection)


def watched(server: HubServer) -> Keepalive:
    keepalive = Keepalive(server.hub, 120)
    server.recorder = Watched(keepalive)
    return keepalive


async def test_frames_do_not_move_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub_server() as b:
        keepalive = watched(b)
        now = closings.monotonic_s()
        monkeypatch.setattr(closings, "monotonic_s", lambda: now)
        client = await Raw.connect(b.port)
        await until(lambda: b.recorder.opened_)
        b.recorder.opened_[0].close(4009, "go")
        for _ in range(CLOSE_TIMEOUT_S - 1):
            now += 1
            client.writer.write(masked(0x81, b"still here") + masked(0x89, b"and alive"))
            keepalive.sweep()
            await client.writer.drain()
        assert b.recorder.closed_ == []
        now += 1
        keepalive.sweep()
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][1:] == (4009, "go")
        await client.end()


async def test_who_does_not_read_the_answer_to_its_close_frame_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async with hub_server(max_waiting_bytes=100_000_000) as b:
        keepalive = watched(b)
        connection, peer = await b.connect(rcvbuf=4096)
        assert peer.transport is not None
        peer.transport.underlying_transport.pause_reading()
        for _ in range(400):
            connection.send(b"x" * 50_000)
        peer.transport.send_close(1000, "bye")
        await until(lambda: b.recorder.left)
        keepalive.sweep()
        assert b.recorder.closed_ == []
        later = closings.monotonic_s() + CLOSE_TIMEOUT_S
        monkeypatch.setattr(closings, "monotonic_s", lambda: later)
        keepalive.sweep()
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][1] == 1000
        # The kernel keeps nothing of what was not read either, and says so to a client that has not read to the end.
        await until(lambda: is_reset(peer.transport.underlying_transport.get_extra_info("socket").fileno()))


async def test_the_oldest_refused_makes_room() -> None:
    async with hub_server() as b:
        ended = Closings()
        clients = [await Raw.connect(b.port) for _ in range(MAX_REFUSED + 2)]
        await until(lambda: len(b.recorder.opened_) == len(clients))
        for connection in b.recorder.opened_:
            connection.close(4001, "unknown")
            ended.begin(connection, refused=True)
        await until(lambda: len(b.recorder.closed_) == 2)
        assert [socket_id for socket_id, _, _ in b.recorder.closed_] == [
            one.socket_id for one in b.recorder.opened_[:2]
        ]
        assert len(ended) == MAX_REFUSED
        # Whoever was ended has heard why.
        assert [first for first, _ in await clients[0].frames()] == [0x88]
        ended.abort_all()
        for client in clients:
            await client.end()
        assert len(ended) == 0
