"""Real WebSocket connections to a hub in this process: the server's side is the engine's, the client's picows'."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from engine._fast.connection import Connection
from engine._fast.hub import Hub
from engine._fast.plain_socket import PlainSockets
from engine._fast.queues import FlushQueue
from engine._fast.readable import Readers
from engine.metrics.metrics import Metrics
from engine.ws.upgrade import Upgrade
from tests.support.waiting import until

MAX_MESSAGE_BYTES = 64 * 1024


class Peer(WSListener):
    """The client's side: texts and close codes as they arrive."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.pongs: list[bytes] = []
        self.close_code: int | None = None
        self.transport: WSTransport | None = None
        self.gone = asyncio.Event()

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

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.gone.set()

    def send(self, text: str) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, text.encode())


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(first: int, payload: bytes) -> bytes:
    """A client's frame. :param first: its first byte: FIN and the opcode."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2)
    mask = b"\x01\x02\x03\x04"
    # As one number: many frames are made while tests are collected.
    hidden = int.from_bytes(payload) ^ int.from_bytes((mask * (size // 4 + 1))[:size])
    return bytes([first]) + length + mask + hidden.to_bytes(size)


class Raw:
    """A client that writes bytes, not frames. :ivar status: of the answer to its handshake."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int) -> None:
        self.reader = reader
        self.writer = writer
        self.status = status

    @classmethod
    async def connect(cls, port: int, early: bytes = b"") -> Raw:
        """:param early: bytes sent together with the request."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(UPGRADE + early)
        head = await reader.readuntil(b"\r\n\r\n")
        return cls(reader, writer, int(head.split()[1]))

    async def frames(self) -> list[tuple[int, bytes]]:
        """All that comes until the server has no more to say: (first byte, payload)."""
        data, found = await self.reader.read(), []
        while data:
            size, skip = (int.from_bytes(data[2:4]), 4) if data[1] == 126 else (data[1], 2)
            found.append((data[0], data[skip : skip + size]))
            data = data[skip + size :]
        return found

    async def end(self) -> None:
        """Close, and read what is left."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


class Recorder:
    """The handler that a Connection passes everything up to."""

    def __init__(self) -> None:
        self.opened_: list[Connection] = []
        self.messages: list[bytes] = []
        self.left: list[Connection] = []
        self.closed_: list[tuple[str, int, str]] = []

    def opened(self, connection: Connection) -> None:
        self.opened_.append(connection)

    def message(self, connection: Connection, payload: bytes) -> None:
        self.messages.append(payload)

    def leaving(self, connection: Connection) -> None:
        self.left.append(connection)

    def closed(self, connection: Connection, code: int, reason: str) -> None:
        self.closed_.append((connection.socket_id, code, reason))


class Door(asyncio.Protocol):
    """Waits for the head of an upgrade request."""

    def __init__(self, upgrade: Upgrade) -> None:
        self._upgrade = upgrade
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        if b"\r\n\r\n" in self._data:
            self._upgrade.open(self._transport, self._data)  # type: ignore[arg-type]


class HubServer:
    """A hub with a server in front of it."""

    def __init__(self, max_waiting_bytes: int, max_frames_per_second: int) -> None:
        self.hub = Hub(FlushQueue(asyncio.get_running_loop().call_soon, max_waiting_bytes, max_frames_per_second))
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
        await until(lambda: len(self.recorder.opened_) > known)
        return self.recorder.opened_[known], peer

    def accept(self, *_: object) -> Connection:
        self._next += 1
        connection = Connection(
            f"1.{self._next}", None, self.hub.traffic("app"), self.recorder, self.hub.flush_queue, MAX_MESSAGE_BYTES
        )
        self.hub.add(connection)
        return connection

    async def end(self) -> None:
        for peer in self._peers:
            if peer.transport is not None:
                peer.transport.underlying_transport.abort()
            await peer.gone.wait()
        await until(lambda: len(self.recorder.closed_) == len(self.recorder.opened_))

    def subscribe(self, connection: Connection, name: str, since: int = 0) -> None:
        from engine._fast.hub import Pending

        Pending(self.hub.open("app", name), connection).activate(since, [])


@contextlib.asynccontextmanager
async def hub_server(max_waiting_bytes: int = 1024 * 1024, max_frames_per_second: int = 0) -> AsyncIterator[HubServer]:
    made = HubServer(max_waiting_bytes, max_frames_per_second)
    loop = asyncio.get_running_loop()
    # As a worker has them: plain sockets leave the loop's transports.
    readers = Readers(made.hub.flush_queue, loop.add_reader, loop.remove_reader)
    plain = PlainSockets(readers, loop.call_soon, 2**31 - 1)
    upgrade = Upgrade(made.accept, MAX_MESSAGE_BYTES, Metrics(), 16384, b"HTTP/1.1 431 Too Long\r\n\r\n", plain)
    server = await loop.create_server(lambda: Door(upgrade), "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.end()
        await server.wait_closed()
        plain.stop()
