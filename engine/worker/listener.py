"""The gate: the first bytes of a connection choose who serves it, on one port.

`GET {prefix}/app/…` is upgraded once its head is complete, `POST {prefix}/apps/…` goes to the publish fast path, which
hands on whatever is no publish; everything else goes to aiohttp with its bytes unread. An upgrade that comes on a
connection of aiohttp's, with whatever path, is handed over by `take_over`.
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
from aiohttp.typedefs import Handler

from engine._fast.clock import monotonic_s
from engine._fast.http_publish import PublishServer
from engine.config.addresses import BACKLOG
from engine.http.connection import CLOSE_TIMEOUT_S, HEAD_TIMEOUT_S, HttpConnections
from engine.http.fast_path import FastPath
from engine.log.notices import Notices
from engine.protocol.address import Networks
from engine.protocol.proxy_header import begins
from engine.tasks import cancel, spawn
from engine.worker.proxy_protocol import ProxyPort, Waiting
from engine.ws.upgrade import Upgrade

#: What newcomers get to end their handshakes once no more are accepted.
NEWCOMERS_TIMEOUT_S = 2.5
#: For the loop to make known whom it has just accepted.
ACCEPTED_S = 0.02
#: A handshake of TLS cannot be seen before it is done.
TLS_HANDSHAKE_S = 0.5
#: Connections of publishes get so long to end by themselves, after an answer that asks for it.
LAST_ANSWERS_S = 0.5
#: What a drain gives the requests under way, and clients that do not read what they were answered.
REQUESTS_TIMEOUT_S = 5.0
UNREAD_TIMEOUT_S = 1.0
#: Sockets beside the WebSockets of a worker whose connections are limited: requests, newcomers, and those refused.
SPARE_SOCKETS = 1024

#: How TLS begins: a record of a handshake, of any version (RFC 8446 section 5.1).
_CLIENT_HELLO = b"\x16\x03"
_TLS_REMEDY = (
    "a client speaks TLS to this port, which has none: configure `ssl`, or have clients and back ends use ws:// and http://"
    " (pusher-js: forceTLS: false)"
)

_PROXY_REMEDY = (
    "a balancer sends the PROXY protocol's header to this port, which does not read it: configure `proxy_protocol`, or"
    " take send-proxy (nginx: proxy_protocol on) out of the balancer's configuration"
)
_API_PROXY_REMEDY = (
    "a balancer sends the PROXY protocol's header to the HTTP API's own address, where it is never read: take"
    " send-proxy out of that balancer's configuration"
)
_ELSEWHERE = "Clients connect to the main port; here is the HTTP API only\n"

_log = logging.getLogger(__name__)


class Listener:
    """Serves one worker's sockets.

    :param sockets: bound, listening sockets; closed by `close`.
    :param upgrade: makes connections of upgrade requests; None where only the HTTP API is served.
    :param fast_path: serves publishes; None sends all requests to aiohttp.
    :param runner: of the HTTP API; upgrades are taken out of its application here. :param http: its connections.
    :param websockets: how many there are; :param max_websockets: how many there may be, 0 is no limit.
    :param proxied: networks whose connections begin with a header of the PROXY protocol; None: that is not read.
    :param count_refusal: called for each connection that is ended because of that header.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        upgrade: Upgrade | None,
        runner: web.AppRunner,
        http: HttpConnections,
        fast_path: FastPath | None,
        path_prefix: str,
        tls: ssl.SSLContext | None,
        websockets: Callable[[], int],
        max_websockets: int,
        proxied: Networks | None,
        count_refusal: Callable[[], None],
    ) -> None:
        self._sockets = sockets
        self._upgrade = upgrade
        self.max_head_bytes = http.max_head_bytes
        self._http = http
        self._websockets = websockets
        self._max_websockets = max_websockets
        self._tls = tls
        self._fast_path = fast_path
        self._publishes: PublishServer | None = None
        self.publish_head = f"POST {path_prefix}/apps/".encode()
        #: The same again where there are none: of every connection that goes to aiohttp.
        self.websocket_head = self.publish_head if upgrade is None else f"GET {path_prefix}/app/".encode()
        self._runner = runner
        self._websocket_path = f"{path_prefix}/app/"
        runner.app.middlewares.append(self._upgrades)
        self._proxied = proxied
        self._count_refusal = count_refusal
        self._servers: list[asyncio.AbstractServer | ProxyPort] = []
        self._undecided: dict[Waiting, int] = {}
        self._notices = Notices(_log)
        self._all_decided = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._runner.setup()
        if self._fast_path is not None:
            self._publishes = self._fast_path.start(self.to_http)
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            if self._proxied is not None:
                port = ProxyPort(
                    sock, self, self._proxied, lambda source: Gate(self, source), self._tls, self._count_refusal
                )
                port.start()
                self._servers.append(port)
                continue
            tls = self._tls is not None
            server = await loop.create_server(
                lambda: Gate(self),
                sock=sock,
                ssl=self._tls,
                backlog=BACKLOG,
                ssl_handshake_timeout=HEAD_TIMEOUT_S if tls else None,
                ssl_shutdown_timeout=CLOSE_TIMEOUT_S if tls else None,
            )
            self._servers.append(server)
        self._task = spawn(self._sweep(), "listener-sweep")

    async def close(self) -> None:
        """Accept no more; returns when accepted connections have had the time to send their first bytes.

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
        await asyncio.gather(self._finish_publishes(), self._finish_http())
        if self._publishes is not None:
            self._publishes.readers.stop()

    async def stop(self) -> None:
        await self.finish_requests()
        await cancel(self._task)

    # --- called by the gates

    def undecided(self, gate: Waiting) -> None:
        # Behind all others, whose time is up first.
        self._undecided.pop(gate, None)
        self._undecided[gate] = monotonic_s() + HEAD_TIMEOUT_S

    def decided(self, gate: Waiting) -> None:
        self._undecided.pop(gate, None)
        if not self._undecided:
            self._all_decided.set()

    def look_for_mistakes(self, data: bytes) -> None:
        """What this port does not speak is answered as any other nonsense; the remedy is logged."""
        if self._tls is None and data.startswith(_CLIENT_HELLO):
            self._notices.note(logging.INFO, "tls", _TLS_REMEDY)
        elif self._proxied is None and begins(data):
            self._notices.note(logging.INFO, "proxy", _API_PROXY_REMEDY if self._upgrade is None else _PROXY_REMEDY)

    def to_websocket(self, transport: asyncio.Transport, data: bytes, source: str | None) -> None:
        assert self._upgrade is not None, "no head of one is looked for"
        self._upgrade.open(transport, data, source)

    def to_http(self, transport: asyncio.Transport, data: bytes, source: str | None = None) -> None:
        server = self._runner.server
        if server is None:  # it was stopped meanwhile
            transport.abort()
            return
        protocol = self._http.make(server)
        protocol.source = source
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(data)

    def to_publish(self, transport: asyncio.Transport, data: bytes, source: str | None) -> None:
        if self._publishes is None:
            self.to_http(transport, data, source)
        else:
            self._publishes.connect(transport, data, source)

    def full(self) -> bool:
        """Whether one socket more is too many; then there is no socket to say so on."""
        if not self._max_websockets:
            return False
        others = len(self._undecided) + len(self._http)
        if self._publishes is not None:
            others += len(self._publishes.connections)
        return self._websockets() + others >= self._max_websockets + SPARE_SOCKETS

    @web.middleware
    async def _upgrades(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method == "GET" and self._upgrade is None:
            if request.path.startswith(self._websocket_path):
                raise web.HTTPNotFound(text=_ELSEWHERE)
        elif request.method == "GET":
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await self.take_over(request)
            if request.path.startswith(self._websocket_path):
                raise web.HTTPUpgradeRequired(text="This path speaks WebSocket\n", headers={"Upgrade": "websocket"})
        return await handler(request)

    async def take_over(self, request: web.Request) -> web.StreamResponse:
        """An upgrade that aiohttp has read: with an unusual path, or on a used connection, as proxies pool them."""
        http: Any = request.protocol
        transport = http.transport
        if transport is None:
            raise ConnectionResetError
        head = [f"GET {request.raw_path} HTTP/1.1".encode()]
        head += [name + b": " + value for name, value in request.raw_headers]
        tail = http._message_tail
        # From here on the connection is no longer aiohttp's; it must neither write to it nor close it.
        http.transport = None
        http.connection_lost(None)
        transport.resume_reading()
        self.to_websocket(transport, b"\r\n".join(head) + b"\r\n\r\n" + tail, http.source)
        return _TakenOver()

    async def _finish_http(self) -> None:
        """The same for all other requests."""
        loop = asyncio.get_running_loop()
        timers = [
            loop.call_later(UNREAD_TIMEOUT_S, lambda: self._http.abort(unread_only=True)),
            loop.call_later(REQUESTS_TIMEOUT_S, lambda: self._http.abort(unread_only=False)),
        ]
        await self._runner.cleanup()
        for timer in timers:
            timer.cancel()
        # What was closed with an answer unread has been given its time.
        self._http.abort(unread_only=False)

    async def _finish_publishes(self) -> None:
        """Close the connections of publishes, after the answers that are under way; bounded."""
        publishes = self._publishes
        if publishes is None:
            return
        gone = asyncio.Event()
        publishes.on_empty = gone.set
        if publishes.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.wait(), LAST_ANSWERS_S)
        for connection in list(publishes.connections):
            connection.close()
        for timeout_s, busy_too in ((UNREAD_TIMEOUT_S, False), (REQUESTS_TIMEOUT_S - UNREAD_TIMEOUT_S, True)):
            if not publishes.connections:
                return
            try:
                await asyncio.wait_for(gone.wait(), timeout_s)
            except TimeoutError:
                busy = sum(connection.busy for connection in publishes.connections)
                if busy and busy_too:
                    _log.warning("%d publishes were not answered in time", busy)
                for connection in list(publishes.connections):
                    if busy_too or not connection.busy:
                        connection.abort()

    def sweep(self) -> None:
        """End those whose time is up. To be called once a second."""
        now = monotonic_s()
        for gate, deadline in list(self._undecided.items()):
            if deadline > now:
                break
            gate.abort()
        if self._publishes is not None:
            self._publishes.sweep()
        self._http.sweep()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self.sweep()


class Gate(asyncio.Protocol):
    """Holds a new connection until its first bytes show whose it is.

    :param source: where it comes from, by a header of the PROXY protocol; None: from its peer.
    """

    __slots__ = ("_data", "_listener", "_source", "_transport")

    def __init__(self, listener: Listener, source: str | None = None) -> None:
        self._listener = listener
        self._source = source
        self._data = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class
        if self._listener.full():
            self._transport.abort()
        else:
            self._listener.undecided(self)

    def data_received(self, data: bytes) -> None:
        self._data = data = self._data + data if self._data else data
        listener = self._listener
        if data.startswith(listener.publish_head):
            self._hand_over(listener.to_publish)
        elif not data.startswith(listener.websocket_head):
            if not listener.publish_head.startswith(data) and not listener.websocket_head.startswith(data):
                listener.look_for_mistakes(data)
                self._hand_over(listener.to_http)
        elif b"\r\n\r\n" in data or len(data) > listener.max_head_bytes:
            self._hand_over(listener.to_websocket)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.decided(self)
        self._transport = None

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _hand_over(self, taker: Callable[[asyncio.Transport, bytes, str | None], None]) -> None:
        transport = self._transport
        assert transport is not None
        self._listener.decided(self)
        self._transport = None
        taker(transport, self._data, self._source)
        self._data = b""


class _TakenOver(web.StreamResponse):
    """Has aiohttp see that a request is done, without a byte being written."""

    async def prepare(self, request: web.BaseRequest) -> None:
        self._eof_sent = True
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is ours to write."""
