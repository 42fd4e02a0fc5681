"""The gate: the first bytes of a connection choose who serves it, on one port.

`GET {prefix}/app/…` is upgraded once its head is complete, `POST {prefix}/apps/…` goes to the publish fast path, which
hands on whatever is no publish; everything else goes to aiohttp with its bytes unread. An upgrade that comes later on a
connection of aiohttp's is handed over by `take_over`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

from engine._fast.clock import monotonic_s
from engine._fast.http_publish import PublishServer
from engine.http.fast_path import FastPath
from engine.tasks import cancel, spawn
from engine.ws.upgrade import MAX_HEAD_BYTES, Upgrade

#: A client has this long to say what it wants; then its connection is closed.
HEAD_TIMEOUT_S = 10
BACKLOG = 4096

#: What newcomers get to end their handshakes once no more are accepted.
NEWCOMERS_TIMEOUT_S = 2.5
#: For the loop to make known whom it has just accepted.
ACCEPTED_S = 0.02
#: A handshake of TLS cannot be seen before it is done.
TLS_HANDSHAKE_S = 0.5
#: Connections of publishes get so long to end by themselves, after an answer that asks for it.
LAST_ANSWERS_S = 0.5
#: What a drain gives the publishes under way.
PUBLISH_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


class Listener:
    """Serves one worker's sockets.

    :param sockets: bound, listening sockets; closed by `close`.
    :param upgrade: makes connections of upgrade requests.
    :param fast_path: serves publishes; None sends all requests to aiohttp.
    :param runner: of the HTTP API; the upgrade route is added to its application here.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        upgrade: Upgrade,
        runner: web.AppRunner,
        fast_path: FastPath | None,
        path_prefix: str,
        tls: ssl.SSLContext | None,
    ) -> None:
        self._sockets = sockets
        self.to_websocket = upgrade.open
        self._tls = tls
        self._fast_path = fast_path
        self._publishes: PublishServer | None = None
        self.websocket_head = f"GET {path_prefix}/app/".encode()
        self.publish_head = f"POST {path_prefix}/apps/".encode()
        self._runner = runner
        runner.app.router.add_get(f"{path_prefix}/app/{{key:.*}}", self.take_over)
        self._servers: list[asyncio.AbstractServer] = []
        self._undecided: dict[Gate, int] = {}
        self._all_decided = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._runner.setup()
        assert self._runner.server is not None
        self._http = self._runner.server
        if self._fast_path is not None:
            self._publishes = self._fast_path.start(self.to_http)
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            server = await loop.create_server(lambda: Gate(self), sock=sock, ssl=self._tls, backlog=BACKLOG)
            self._servers.append(server)
        self._task = spawn(self._sweep(), "listener-sweep")

    async def close(self) -> None:
        """Accept no more; returns when those who were accepted have had the time to say what they want.

        Who connected before has been accepted if the sockets' queues are empty, which the supervisor looks after."""
        had_tls = bool(self._servers) and self._tls is not None
        for server in self._servers:
            server.close()
        self._servers.clear()
        if self._fast_path is not None:
            self._fast_path.last_answers = True
        # uvloop makes a connection that it has accepted known only in the next turn of the loop.
        await asyncio.sleep(TLS_HANDSHAKE_S if had_tls else ACCEPTED_S)
        if self._undecided:
            with contextlib.suppress(TimeoutError):
                self._all_decided.clear()
                await asyncio.wait_for(self._all_decided.wait(), NEWCOMERS_TIMEOUT_S)

    async def finish_requests(self) -> None:
        """Accept no more and finish the HTTP requests under way; WebSockets stay."""
        await self.close()
        for gate in list(self._undecided):
            gate.abort()
        if self._publishes is not None:
            await self._finish(self._publishes)
        await self._runner.cleanup()

    async def stop(self) -> None:
        await self.finish_requests()
        await cancel(self._task)

    # --- called by the gates

    def undecided(self, gate: Gate) -> None:
        self._undecided[gate] = monotonic_s() + HEAD_TIMEOUT_S

    def decided(self, gate: Gate) -> None:
        self._undecided.pop(gate, None)
        if not self._undecided:
            self._all_decided.set()

    def to_http(self, transport: asyncio.Transport, data: bytes) -> None:
        protocol = self._http()
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    def to_publish(self, transport: asyncio.Transport, data: bytes) -> None:
        if self._publishes is None:
            self.to_http(transport, data)
        else:
            self._publishes.connect(transport, data)

    async def take_over(self, request: web.Request) -> web.StreamResponse:
        """An upgrade on a connection that aiohttp has already answered requests on (pooled proxies do this)."""
        http: Any = request.protocol
        transport = http.transport
        if transport is None or request.headers.get("Upgrade", "").lower() != "websocket":
            raise web.HTTPUpgradeRequired(text="This path speaks WebSocket\n", headers={"Upgrade": "websocket"})
        head = [f"GET {request.raw_path} HTTP/1.1".encode()]
        head += [name + b": " + value for name, value in request.raw_headers]
        tail = http._message_tail
        # From here on the connection is no longer aiohttp's; it must neither write to it nor close it.
        http.transport = None
        http.connection_lost(None)
        transport.resume_reading()
        self.to_websocket(transport, b"\r\n".join(head) + b"\r\n\r\n" + tail)
        return _TakenOver()

    async def _finish(self, publishes: PublishServer) -> None:
        """Close the connections of publishes, after the answers that are under way; bounded."""
        gone = asyncio.Event()
        publishes.on_empty = gone.set
        if publishes.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), LAST_ANSWERS_S)
        for connection in list(publishes.connections):
            connection.close()
        if publishes.connections:
            try:
                await asyncio.wait_for(gone.wait(), PUBLISH_TIMEOUT_S)
            except TimeoutError:
                _log.warning("%d publishes were not answered in time", len(publishes.connections))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            now = monotonic_s()
            for gate, deadline in list(self._undecided.items()):
                if deadline > now:
                    break
                gate.abort()
            if self._publishes is not None:
                self._publishes.sweep()


class Gate(asyncio.Protocol):
    """Holds a new connection until its first bytes tell whose it is."""

    __slots__ = ("_data", "_listener", "_transport")

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class
        self._listener.undecided(self)

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data if self._data else data
        listener = self._listener
        if data.startswith(listener.publish_head):
            self._hand_over(listener.to_publish)
        elif not data.startswith(listener.websocket_head):
            if not listener.publish_head.startswith(data) and not listener.websocket_head.startswith(data):
                self._hand_over(listener.to_http)
        elif b"\r\n\r\n" in data or len(data) > MAX_HEAD_BYTES:
            self._hand_over(listener.to_websocket)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.decided(self)
        self._transport = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _hand_over(self, taker: Callable[[asyncio.Transport, bytes], None]) -> None:
        transport = self._transport
        assert transport is not None
        self._listener.decided(self)
        self._transport = None
        taker(transport, self._data)
        self._data = b""


class _TakenOver(web.StreamResponse):
    """Tells aiohttp that a request is done, without a byte being written."""

    async def prepare(self, request: web.BaseRequest) -> None:
        self._eof_sent = True
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is ours to write."""
