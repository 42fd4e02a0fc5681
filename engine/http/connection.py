"""Connections of aiohttp's server, with what it lacks: deadlines that no byte moves, one limit of heads, half-closing.

Takes what the gate hands on. Never answers a request but for a head that is too long.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from engine._fast.clock import monotonic_s
from engine._fast.ending import end
from engine._fast.http_publish import KEEPALIVE_TIMEOUT_S
from engine.errors import ApiError
from engine.http.request import failed
from engine.metrics.metrics import Metrics

#: A head has this long from its first byte on, and a new connection's first one from the beginning.
HEAD_TIMEOUT_S = 10
#: How long a client may take to read an answer that the kernel does not take at once.
ANSWER_TIMEOUT_S = 30
#: A socket that was closed has this long for what is still unread.
CLOSE_TIMEOUT_S = 5
#: How long the rest of a refused body is read and thrown away, so that its sender sees the answer.
LINGERING_TIME_S = 1.0

_log = logging.getLogger(__name__)


def head_too_long(limit_bytes: int) -> ApiError:
    """431, for every head above `http_api.request_head_limit_in_kb`."""
    message = f"The head of the request exceeds the allowed maximum ({limit_bytes} bytes)."
    return ApiError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "invalid_input", message)


def whole_refusal(error: ApiError) -> bytes:
    """An HTTP answer after which the connection ends."""
    answer = failed(error)
    head = (
        f"HTTP/1.1 {int(answer.status)} {HTTPStatus(answer.status).phrase}\r\nServer: engine\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + answer.body


def connection_options(metrics: Metrics) -> dict[str, Any]:
    """What each connection of that server needs."""
    return {
        "access_log": None,
        "logger": _ServerFaults(metrics),
        "keepalive_timeout": KEEPALIVE_TIMEOUT_S,
        "lingering_time": LINGERING_TIME_S,
        # body_md5 covers the bytes as sent; a compressed body is refused before anything unpacks it.
        "auto_decompress": False,
    }


class HttpConnections:
    """Makes connections and watches over them.

    :param options: of aiohttp's request handler.
    :param max_open: how many there may be; for one more the oldest that asks nothing is ended. 0 is no limit.
    :param streams: answers may go on for ever; a client has its time to read whatever it does not read at all.
    """

    def __init__(
        self,
        options: dict[str, Any],
        max_head_bytes: int,
        metrics: Metrics,
        *,
        max_open: int = 0,
        streams: bool = False,
    ) -> None:
        # aiohttp has a limit for a line; one for all of them is kept here, and found first.
        self._options = options | {"max_line_size": max_head_bytes, "max_field_size": max_head_bytes}
        self.max_head_bytes = max_head_bytes
        self._metrics = metrics.http
        self._max_open = max_open
        self.streams = streams
        #: The oldest first.
        self._open: dict[HttpConnection, None] = {}

    def __len__(self) -> int:
        return len(self._open)

    def make(self, server: web.Server) -> HttpConnection:
        return HttpConnection(self, server, self._options)

    def sweep(self) -> None:
        """End those whose time is up. To be called once a second."""
        now = monotonic_s()
        for connection in list(self._open):
            connection.check(now)

    def abort(self, *, unread_only: bool) -> None:
        """End all at once. :param unread_only: only those whose clients do not read what they were answered."""
        for connection in list(self._open):
            if connection.unread or not unread_only:
                connection.abort()

    def opened(self, connection: HttpConnection) -> None:
        self._open[connection] = None
        if self._max_open and len(self._open) > self._max_open:
            # There is one: the newcomer has no request yet.
            idle = next(each for each in self._open if each.asks_nothing)
            del self._open[idle]
            idle.abort()

    def gone(self, connection: HttpConnection) -> None:
        self._open.pop(connection, None)

    def count_too_long(self) -> None:
        self._metrics.calls.add(1, "")
        self._metrics.errors.add(1, "", str(int(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)))


class HttpConnection(web.RequestHandler):
    """:ivar last: the client has said all that it will, and only the request at hand is not answered yet.
    :ivar source: where it comes from, by a header of the PROXY protocol; None: from its peer."""

    __slots__ = (
        "_answer_since_s",
        "_body",
        "_closed_s",
        "_half_closed",
        "_head_bytes",
        "_head_since_s",
        "_owner",
        "_socket",
        "source",
    )

    def __init__(self, owner: HttpConnections, server: web.Server, options: dict[str, Any]) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._owner = owner
        self._socket: asyncio.Transport | None = None
        #: Bytes of a head that is not complete, and since when it comes.
        self._head_bytes = self._head_since_s = 0
        #: The body of the latest request.
        self._body: Any = None
        #: Since when an answer is not read; since when the socket should be gone. 0 is not.
        self._answer_since_s = self._closed_s = 0
        self._half_closed = False
        self.source: str | None = None

    @property
    def asks_nothing(self) -> bool:
        """Whether nothing is being answered, as no request has come completely."""
        return self._between_requests or (self._body is not None and not self._body.is_eof())

    @property
    def last(self) -> bool:
        return self._half_closed and not self._messages

    @property
    def unread(self) -> bool:
        return self.writing_paused or self._closed_s > 0 or (self._socket is not None and self._socket.is_closing())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        self._head_since_s = monotonic_s()
        self._owner.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._socket = None
        self._owner.gone(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._head_bytes = 0
            self._body = self._messages[-1][1] if self._messages else None
        elif self._between_requests and (self._body is None or self._body.is_eof()):
            if not self._head_bytes and before:
                self._head_since_s = monotonic_s()
            self._head_bytes += len(data)
            if self._head_bytes > self._owner.max_head_bytes:
                self._refuse_head()

    def eof_received(self) -> bool:  # type: ignore[override] # aiohttp's own returns nothing, which closes the socket
        """A client that only has no more to say still gets its answers; TLS knows no such half. Of an answer without
        end it would never be seen that its client has gone."""
        socket = self._socket
        if socket is None or self._between_requests or socket.get_extra_info("ssl_object") is not None:
            return False
        if self._owner.streams:
            return False
        self._half_closed = self._body is None or self._body.is_eof()
        return self._half_closed

    def force_close(self) -> None:
        if self.transport is not None:
            self._closed_s = monotonic_s()
        super().force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if isinstance(exc, LineTooLong):
            error = head_too_long(self._owner.max_head_bytes)
            status, message = int(error.status), error.message
        return super().handle_error(request, status, exc, message)

    def check(self, now_s: int) -> None:
        """End the connection if its client does not keep its time."""
        socket = self._socket
        if socket is None:
            return
        if self._closed_s or socket.is_closing():
            self._closed_s = self._closed_s or now_s
            if now_s - self._closed_s >= CLOSE_TIMEOUT_S:
                end(socket, forget=True)
        elif not self._between_requests:
            if self._owner.streams and not self.writing_paused:
                self._answer_since_s = 0
            elif self.writing_paused and not self._answer_since_s:
                self._answer_since_s = now_s
            elif self._answer_since_s and now_s - self._answer_since_s >= ANSWER_TIMEOUT_S:
                end(socket, forget=True)
        else:
            self._answer_since_s = 0
            waits_for_head = self._head_bytes or not self._request_count
            if self._half_closed:
                socket.close()
            elif waits_for_head and now_s - self._head_since_s >= HEAD_TIMEOUT_S:
                socket.abort()

    def abort(self) -> None:
        if self._socket is not None:
            self._socket.abort()

    @property
    def _between_requests(self) -> bool:
        # Neither the list of requests nor the flag that one is handled says so: there is a moment between the two.
        return not self._messages and (
            not self._request_count or (self._waiter is not None and not self._waiter.done())
        )

    def _refuse_head(self) -> None:
        """What still comes of it is thrown away, so that its sender sees the answer."""
        self._owner.count_too_long()
        socket, self._closed_s = self._socket, monotonic_s()
        self._close = True
        if socket is not None and not socket.is_closing():
            socket.write(whole_refusal(head_too_long(self._owner.max_head_bytes)))
            if socket.can_write_eof():
                socket.write_eof()
            else:
                socket.close()


class _ServerFaults:
    """Stands for the logger of aiohttp's server: what callers do wrong is counted, not logged; its own failures are."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics.http

    def debug(self, *_: object, **__: object) -> None:
        """Of no interest."""

    def exception(self, message: str, *args: object, exc_info: Any = True) -> None:
        if isinstance(exc_info, HttpProcessingError | web.RequestPayloadError | ConnectionError):
            self._metrics.calls.add(1, "")
            too_long = isinstance(exc_info, LineTooLong)
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST
            self._metrics.errors.add(1, "", str(int(status)))
        else:
            _log.error(message, *args, exc_info=exc_info)
