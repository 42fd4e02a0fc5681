"""Two servers of publishes in this process, one that answers plain ones in C and one that asks Python for all: whatever
bytes come, both must say, send, hand over and close the same. And what either takes for a request, aiohttp must too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp import HttpVersion11
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpRequestParser

from engine._fast.awaited_link import AwaitedLink
from engine._fast.connection import Connection
from engine._fast.http_publish import PublishServer
from engine._fast.hub import Hub, Pending
from engine._fast.parser import Parsers
from engine._fast.plain_publish import PlainPublisher
from engine._fast.queues import FlushQueue
from engine.adapter.local import LocalAdapter
from engine.app_manager import AppManager
from engine.config.server import CorsConfig
from engine.history.memory import MemoryHistory
from engine.http.fast_path import FastPath
from engine.metrics.metrics import Metrics
from engine.protocol.api_auth import TIMESTAMP_WINDOW_S
from engine.tasks import serve_eagerly
from tests.fuzz.transport import Transport
from tests.http.serving import NOW_S, Serving, make_app

APPS = (
    make_app(),
    make_app(
        "small", "k2", max_event_name_length=3, max_event_bytes=5, max_channel_name_length=4, max_event_channels=2
    ),
    make_app("off", "k3", enabled=False),
    make_app("rate", "k4", max_backend_events_per_second=2),
    make_app("turned", "k5", previous_secret="old", previous_signer=make_app().signer),
)
CHANNELS = ("room", "a", "b", "private-x", "cache-c", "presence-p", "#server-to-user-u")
SUBSCRIBER = "1.1"
MAX_BODY_BYTES = 5000

_DATE = re.compile(rb"Date: [^\r]*\r\n")


class Outcome(NamedTuple):
    """What came of some bytes. :ivar frames: what each subscriber got, in order."""

    answers: bytes
    handed_over: bytes | None
    closed: bool
    frames: tuple[bytes, ...]


class Side:
    """One server. To be made within a running loop. :param awaited: by which C publishes from this hub; None: to it."""

    def __init__(self, *, plain: bool, awaited: Callable[[Hub], AwaitedLink] | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._hub = Hub(FlushQueue(loop.call_soon, 1 << 30))
        self._serving = serving = Serving(*APPS)
        apps = AppManager(APPS)
        serving.api._access._apps = apps  # type: ignore[assignment]
        serving.publisher._adapter = LocalAdapter(self._hub, lambda *_: None, MemoryHistory())
        durations = Metrics().http.duration_s
        given = (apps, self._hub, lambda: float(NOW_S), TIMESTAMP_WINDOW_S, durations, None)
        publisher = PlainPublisher(*given, awaited(self._hub) if awaited is not None else None) if plain else None
        path = FastPath(serving.api, CorsConfig(), publisher, serve_eagerly, "", MAX_BODY_BYTES)
        self._server: PublishServer = path.start(self._take_over)
        self._handed_over: bytes | None = None
        self.successor = Successor()
        self._subscribers = [self._subscribe(number, channel) for number, channel in enumerate(CHANNELS)]

    def play(self, pieces: list[bytes]) -> Outcome:
        self._handed_over = None
        self._serving.limiter._windows.clear()
        transport = Transport()
        self._server.connect(transport, pieces[0])
        for piece in pieces[1:]:
            if self._handed_over is not None:
                self._handed_over += piece
                continue
            for connection in list(self._server.connections):
                connection.data_received(piece)
        for _ in range(20):
            # Whoever was put off because this machine was slow gets its turn now.
            self._server.reads._all_go_on()
        for connection in list(self._server.connections):
            connection.connection_lost(None)
        self._hub.flush_queue.flush()
        frames = tuple(bytes(subscriber.written) for subscriber in self._subscribers)
        for subscriber in self._subscribers:
            subscriber.written.clear()
        return Outcome(_DATE.sub(b"", bytes(transport.written)), self._handed_over, transport.closed, frames)

    def _subscribe(self, number: int, channel: str) -> Transport:
        transport = Transport()
        connection = Connection(f"1.{number}", None, self._hub.traffic("3"), _Ears(), self._hub.flush_queue, 1000)
        connection.open(transport, Parsers(1000, None), b"")
        self._hub.add(connection)
        for app in APPS:
            Pending(self._hub.open(app.id, channel), connection).activate(0, [])
        self._hub.flush_queue.flush()
        transport.written.clear()
        return transport

    def _take_over(self, transport: Any, unread: bytes, source: str | None) -> None:
        self._handed_over = unread
        transport.set_protocol(self.successor)


def difference(pieces: list[bytes], plain: Side, python: Side, aiohttp: AioHttp) -> str:
    """What the sides do not agree on; "" when they agree."""
    ours, theirs = plain.play(pieces), python.play(pieces)
    for name, a, b in zip(ours._fields, ours, theirs, strict=True):
        if a != b:
            return f"{name}: {a!r} in C, {b!r} in Python; {pieces!r}"
    answered, data = ours.answers.count(b"HTTP/1.1 "), b"".join(pieces)
    # Of several, one may have been left for want of bytes that aiohttp does not want any more.
    if (
        ours.handed_over is None
        and answered == data.count(b"POST ") == 1
        and not aiohttp.takes(data[: len(data) - len(ours.handed_over or b"")], answered)
    ):
        return f"{answered} requests were answered that aiohttp does not take; {pieces!r}"
    return ""


class Successor(asyncio.Protocol):
    """Whose a connection is that was handed over. :ivar received: what has come on it since."""

    def __init__(self) -> None:
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data


class _Ears:
    def opened(self, connection: Connection) -> None:
        """Nothing is said first."""


class AioHttp:
    """What aiohttp's parser makes of the same bytes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def takes(self, data: bytes, count: int) -> bool:
        """Whether the bytes begin with `count` POST requests that leave the connection open."""
        parser = HttpRequestParser(_Payloads(), self._loop, 2**16)  # type: ignore[arg-type]
        try:
            messages, _, _ = parser.feed_data(data)
        except HttpProcessingError:
            return False
        heads = [message for message, _ in messages][:count]
        return len(heads) == count and all(
            head.method == "POST" and head.version == HttpVersion11 and not head.should_close for head in heads
        )


class _Payloads:
    """A protocol for bodies that nobody reads."""

    _reading_paused = False

    def pause_reading(self) -> None:
        """Nobody reads."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """As above."""
