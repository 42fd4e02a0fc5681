"""Real WebSocket connections to a hub in this process: the server's side is the engine's, the client's picows'."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect, ws_create_server

from engine._fast.connection import Connection, Turn
from engine._fast.hub import Hub

MAX_MESSAGE_BYTES = 64 * 1024


class Peer(WSListener):
    """The client's side: texts and close codes as they arrive."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.pongs: list[bytes] = []
        self.close_code: int | None = None
        self.transport: WSTransport | None = None
        self.gone = asyncio.Event()
        self.news = asyncio.Event()

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.texts.append(frame.get_payload_as_utf8_text())
        elif frame.msg_type == WSMsgType.PONG:
            self.pongs.append(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int(frame.get_close_code())
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        self.news.set()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()
        self.news.set()

    async def until(self, condition: object) -> None:
        async with asyncio.timeout(10):
            while not condition():  # type: ignore[operator]
                self.news.clear()
                await self.news.wait()

    def send(self, text: str) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, text.encode())


class Recorder:
    """The handler that a Connection passes everything up to."""

    def __init__(self) -> None:
        self.opened_: list[Connection] = []
        self.messages: list[bytes] = []
        self.closed_: list[tuple[str, int, str]] = []
        self.news = asyncio.Event()

    def opened(self, connection: Connection) -> None:
        self.opened_.append(connection)
        self.news.set()

    def message(self, connection: Connection, payload: bytes) -> None:
        self.messages.append(payload)
        self.news.set()

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        self.closed_.append((connection.socket_id, code, reason))
        self.news.set()

    async def until(self, condition: object) -> None:
        async with asyncio.timeout(10):
            while not condition():  # type: ignore[operator]
                self.news.clear()
                await self.news.wait()


class Bench:
    """A hub with a server in front of it."""

    def __init__(self, max_waiting_bytes: int = 1024 * 1024) -> None:
        self.hub = Hub(Turn(asyncio.get_running_loop().call_soon, max_waiting_bytes))
        self.recorder = Recorder()
        self.port = 0
        self._next = 0
        self._peers: list[Peer] = []

    async def connect(self, rcvbuf: int | None = None) -> tuple[Connection, Peer]:
        """One connection: (the engine's side, the client's side)."""
        known = len(self.recorder.opened_)

        def factory(_: object) -> socket.socket:
            sock = socket.socket()
            if rcvbuf:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
            sock.setblocking(False)
            return sock

        _, peer = await ws_connect(
            Peer, f"ws://127.0.0.1:{self.port}/", use_aiofastnet=False, socket_factory=factory if rcvbuf else None
        )
        assert isinstance(peer, Peer)
        self._peers.append(peer)
        await self.recorder.until(lambda: len(self.recorder.opened_) > known)
        return self.recorder.opened_[known], peer

    def accept(self, _: object) -> Connection:
        self._next += 1
        connection = Connection(
            f"1.{self._next}", None, self.hub.traffic("app"), self.recorder, self.hub.turn, MAX_MESSAGE_BYTES
        )
        self.hub.add(connection)
        return connection

    async def end(self) -> None:
        for peer in self._peers:
            if peer.transport is not None:
                peer.transport.underlying_transport.abort()
            await peer.gone.wait()
        await self.recorder.until(lambda: len(self.recorder.closed_) == len(self.recorder.opened_))

    def subscribe(self, connection: Connection, name: str, since: int = 0) -> None:
        from engine._fast.hub import Pending

        Pending(self.hub.open("app", name), connection).activate(since, [])


@contextlib.asynccontextmanager
async def bench(max_waiting_bytes: int = 1024 * 1024) -> AsyncIterator[Bench]:
    made = Bench(max_waiting_bytes)
    server = await ws_create_server(
        made.accept, "127.0.0.1", 0, use_aiofastnet=False, enable_auto_pong=False, max_frame_size=MAX_MESSAGE_BYTES
    )
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
        await server.wait_closed()
