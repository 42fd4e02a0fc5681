"""The opening handshake of a WebSocket: usual requests are read in C, all others by picows, which knows what is wrong.

Never says who may connect, which is `ws/accept.py`'s; from the answer on, the bytes are the connection's.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from http import HTTPStatus

from picows import WSUpgradeRequest, WSUpgradeResponse
from picows.picows import _parse_http_request, _validate_upgrade_request  # type: ignore[attr-defined] # not in its stub

from engine._fast.connection import Connection
from engine._fast.parser import Parsers
from engine._fast.plain_socket import PlainSockets
from engine._fast.upgrade_head import read_upgrade
from engine.metrics.metrics import Metrics
from engine.ws.accept import Request

#: How long a refused client may go on sending.
LINGER_S = 2.0
#: Of the WebSocket protocol (RFC 6455).
VERSION = "13"

_END = b"\r\n\r\n"
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
)
_PROTOCOL = b"Sec-WebSocket-Protocol: %b\r\n"
#: What the name of a subprotocol is made of (RFC 9110, 5.6.2).
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Decides over a request.
Accept = Callable[[Request, asyncio.Transport, str | None], Connection]

_log = logging.getLogger(__name__)


class ProtocolFaults:
    """Stands for picows' logger: what clients do wrong is counted, not logged; picows' own failures are logged."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def isEnabledFor(self, level: int) -> bool:
        return False

    def debug(self, *_: object) -> None:
        """Of no interest."""

    log = info = debug

    def warning(self, *_: object) -> None:
        """Watermarks; the outbox watches them itself."""

    def error(self, *_: object) -> None:
        self._metrics.connections.errors.add(1, "", "frame")

    def exception(self, message: str, *args: object) -> None:
        _log.exception(message, *args)


class Upgrade:
    """Makes connections of upgrade requests.

    :param accept: of `ws/accept.py`.
    :param max_head_bytes: of a request; longer ones are answered with `head_too_long`.
    :param plain: takes plain sockets from their transports, which need more memory; None leaves each its transport.
    """

    def __init__(
        self,
        accept: Accept,
        max_message_bytes: int,
        metrics: Metrics,
        max_head_bytes: int,
        head_too_long: bytes,
        plain: PlainSockets | None = None,
    ) -> None:
        self._accept = accept
        self._parsers = Parsers(max_message_bytes, ProtocolFaults(metrics))
        self._metrics = metrics.connections
        self.max_head_bytes = max_head_bytes
        self._head_too_long = head_too_long
        self._plain = plain

    def open(self, transport: asyncio.Transport, data: bytes, source: str | None = None) -> None:
        """Answer an upgrade request.

        :param data: what has come on the transport: a whole head and whatever is behind it, or too long a head.
        :param source: where it comes from, by a header of the PROXY protocol; None: from its peer.
        """
        if transport.is_closing():
            return
        head = read_upgrade(data, self.max_head_bytes)
        if head is None:
            self._open_oddly(transport, data, source)
            return
        connection = self._accept(head, transport, source)
        self._take_over(connection, transport, head.answer, data[head.size :])

    def _open_oddly(self, transport: asyncio.Transport, data: bytes, source: str | None) -> None:
        """The same for a request that libraries do not send, or that is to be refused."""
        head, end, rest = data.partition(_END)
        if not end or len(head) > self.max_head_bytes:
            self._metrics.errors.add(1, "", "head")
            _say_last(transport, self._head_too_long)
            return
        try:
            request = _parse_http_request(head)
        except RuntimeError as error:
            _refuse(transport, HTTPStatus.BAD_REQUEST, str(error))
            return
        headers = request.headers
        connection = self._accept(_OddRequest(request), transport, source)
        if headers.get("Sec-WebSocket-Version") != VERSION:
            # RFC 6455 section 4.4; picows would take drafts that browsers gave up in 2011.
            _refuse(transport, HTTPStatus.UPGRADE_REQUIRED, "Upgrade Required", [("Sec-WebSocket-Version", VERSION)])
            return
        _normalize(request)
        try:
            key = _validate_upgrade_request(request)
        except RuntimeError as error:
            _refuse(transport, HTTPStatus.BAD_REQUEST, str(error))
            return
        self._take_over(connection, transport, _SWITCHING % (key, _subprotocol(request)), rest)

    def _take_over(self, connection: Connection, transport: asyncio.Transport, answer: bytes, rest: bytes) -> None:
        taken = None if self._plain is None else self._plain.take(transport, connection)
        if taken is None:
            transport.set_protocol(connection)  # type: ignore[arg-type] # one in all but name
        connection.open(transport if taken is None else taken, self._parsers, answer)
        if rest:
            connection.data_received(rest)


class _OddRequest:
    """What `ws/accept.py` asks of a request, of one that picows has read."""

    __slots__ = ("getall", "origin", "path")

    def __init__(self, request: WSUpgradeRequest) -> None:
        self.path: bytes = request.path
        self.origin: str | None = request.headers.get("Origin")
        self.getall = request.headers.getall


def _normalize(request: WSUpgradeRequest) -> None:
    """picows compares the whole Connection header; Firefox and proxies send `keep-alive, Upgrade` (RFC 9110, 7.6.1)."""
    headers = request.headers
    if headers.get("Connection") == "Upgrade":
        return
    tokens = [token.strip().lower() for value in headers.getall("Connection", ()) for token in value.split(",")]
    if "upgrade" in tokens:
        headers["Connection"] = "Upgrade"


def _subprotocol(request: WSUpgradeRequest) -> bytes:
    """A client that offers subprotocols fails without one being chosen; the Pusher protocol has none, so the first."""
    if "Sec-WebSocket-Protocol" not in request.headers:
        return b""
    first = ",".join(request.headers.getall("Sec-WebSocket-Protocol")).split(",")[0].strip()
    return _PROTOCOL % first.encode() if _TOKEN.fullmatch(first) else b""


def _refuse(
    transport: asyncio.Transport, status: HTTPStatus, text: str, headers: list[tuple[str, str]] | None = None
) -> None:
    response = WSUpgradeResponse.create_error_response(status, text.encode(), headers)
    response.headers["Connection"] = "close"
    _say_last(transport, response.to_bytes())


def _say_last(transport: asyncio.Transport, answer: bytes) -> None:
    """The last bytes to a client that may still be sending: what comes is thrown away, so that it sees the answer."""
    transport.set_protocol(_Lingering(transport))
    transport.write(answer)
    if transport.can_write_eof():
        transport.write_eof()
    else:
        transport.close()


class _Lingering(asyncio.Protocol):
    """Reads and forgets, until the client closes or its time is up."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._timer = asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
