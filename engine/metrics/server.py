"""A small HTTP server for the metrics page, in threads of the supervisor.

It answers `GET /metrics`, `/ready` for the node as a whole, `/live` and `/`. A slow or silent client holds one of few
threads for a few seconds, whatever bytes it sends meanwhile, and never when another one needs it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import BoundedSemaphore, Lock, Thread, Timer
from typing import Any

from engine.config.server import MetricsConfig
from engine.errors import ConfigError
from engine.metrics.families import Family
from engine.metrics.page import CONTENT_TYPE, render
from engine.metrics.values import forget, read_all

#: Seconds from the connection to the end of the answer.
TIMEOUT_S = 5.0
#: Requests at one time; for a further one the connection that has waited longest without a request is ended.
MAX_REQUESTS = 16
#: For the thread of such a connection to end.
ROOM_TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)


class MetricsServer:
    """Shows what the processes of this engine count.

    :param families: what the page shows, in this order.
    :param port: the server's main port, for the label.
    :param directory: where the workers keep their numbers.
    :param trouble: why the node should get no new connections; "" when it should.
    """

    def __init__(
        self,
        families: Sequence[Family],
        config: MetricsConfig,
        port: int,
        directory: str | Path,
        trouble: Callable[[], str] = lambda: "",
    ) -> None:
        self._trouble = trouble
        self._config = config
        self._main_port = str(port)
        self._directory = Path(directory)
        self._families = families
        self._server: _Server | None = None
        self._thread: Thread | None = None

    @property
    def port(self) -> int:
        """The port listened on; the configured one before `start()`."""
        return self._config.port if self._server is None else int(self._server.server_address[1])

    def render(self) -> bytes:
        """The page as it is now; blocks for the time of reading a few small files."""
        return render(self._families, read_all(self._directory), self._config.prometheus.prefix, self._main_port)

    def forget(self, slot: int | str) -> None:
        """A worker died: its gauges no longer count, its counters stay. To be called before the next one starts."""
        forget(self._directory, slot)

    def start(self, listening: int = -1) -> None:
        """Listen; ConfigError when the address cannot be used. :param listening: a socket from `give`."""
        address = (self._config.host, self._config.port)
        try:
            self._server = _Server(address, self.render, self._trouble, listening)
        except OSError as error:
            raise ConfigError(f"metrics.port: cannot listen on {address[0]}:{address[1]}: {error.strerror}") from error
        self._thread = Thread(target=self._server.serve_forever, args=(0.1,), name="metrics", daemon=True)
        self._thread.start()

    def give(self) -> int:
        """A descriptor of the listening socket, which stays open for the next program of this process."""
        return -1 if self._server is None else os.dup(self._server.fileno())

    def stop(self) -> None:
        """Stop listening; a request under way may still end."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(
        self, address: tuple[str, int], render: Callable[[], bytes], trouble: Callable[[], str], listening: int
    ) -> None:
        self.render = render
        self.trouble = trouble
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = BoundedSemaphore(MAX_REQUESTS)
        self._lock = Lock()
        #: Connections whose request has not been read yet, the oldest first.
        self._reading: dict[socket.socket, None] = {}
        super().__init__(address, _Handler, bind_and_activate=listening < 0)
        if listening >= 0:
            self.socket.close()
            self.socket = socket.socket(fileno=listening)
            self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False) and not self._make_room():
            self.shutdown_request(request)
            return
        with self._lock:
            self._reading[request] = None
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        deadline = Timer(TIMEOUT_S, _end, (request,))
        deadline.daemon = True
        deadline.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            deadline.cancel()
            self.was_read(request)
            self._free.release()

    def was_read(self, request: socket.socket) -> None:
        """It is being answered, or over."""
        with self._lock:
            self._reading.pop(request, None)

    def _make_room(self) -> bool:
        """End the connection that has waited longest without a request, if there is one, and take its place."""
        with self._lock:
            oldest = next(iter(self._reading), None)
            if oldest is None:
                return False
            del self._reading[oldest]
        _end(oldest)
        return self._free.acquire(timeout=ROOM_TIMEOUT_S)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away or was too slow; a fault of the page itself is answered and logged by the handler.
        _log.debug("metrics request from %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "engine"
    sys_version = ""

    def do_GET(self) -> None:
        self.server.was_read(self.connection)
        path = self.path.partition("?")[0]
        if path == "/metrics":
            try:
                page = self.server.render()
            except Exception:  # noqa: BLE001 - whatever it is, it is logged and answered
                _log.exception("the metrics page cannot be made")
                self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"the metrics page cannot be made\n")
                return
            self._answer(HTTPStatus.OK, page, CONTENT_TYPE)
        elif path == "/ready":
            trouble = self.server.trouble()
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK, (trouble or "OK").encode())
        elif path in ("/", "/live"):
            self._answer(HTTPStatus.OK, b"OK")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"404 NOT FOUND")

    do_HEAD = do_GET

    def _answer(self, status: HTTPStatus, body: bytes, content_type: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)


def _end(connection: socket.socket) -> None:
    """Wake the thread that reads or writes there."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
