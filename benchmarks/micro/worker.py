"""A whole worker in this process, without sockets: requests go in at the gate, answers come out at a transport of ours.

Used by the micro-benchmarks and the instruction counts, so that they follow whatever road a publish takes.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvloop

from benchmarks.load.servers.base import APP_ID, KEY, SECRET
from engine._fast.connection import Connection
from engine._fast.hub import Hub, Pending
from engine.adapter.local import LocalAdapter
from engine.app_manager import AppManager
from engine.apps.build import build_apps
from engine.config.loading.load import load
from engine.control import WorkerSpec
from engine.history.memory import MemoryHistory
from engine.http.application import build_api
from engine.http.health import Health
from engine.http.routes import Api
from engine.metrics.metrics import Metrics
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_state import MemoryState
from engine.publisher import Publisher
from engine.stores.cache_memory import NoCache
from engine.stores.idempotency_memory import MemoryAnswers
from engine.stores.rate_limit_memory import MemoryRateLimiter
from engine.worker.entrances import Sockets
from engine.worker.listener import Gate
from engine.worker.parts import Parts

_APPS = [{"id": APP_ID, "key": KEY, "secret": SECRET, "enable_client_messages": True}]


UPGRADE = (
    b"GET /app/app-key?protocol=7&client=js&version=8.4.0 HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_SUBSCRIBE = b'{"event":"pusher:subscribe","data":{"channel":"bench-0"}}'
#: As a client's frame, masked with zeros.
SUBSCRIBE = bytes((0x81, 0x80 | len(_SUBSCRIBE), 0, 0, 0, 0)) + _SUBSCRIBE


class Transport(asyncio.Transport):
    """Takes what is written and counts it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.protocol: Any = None
        self.written = 0
        self.wanted = 0
        self.last = b""
        self.enough: Callable[[], None] = lambda: None

    def write(self, data: Any) -> None:
        self.last = bytes(data)
        self.written += self.last.count(b"HTTP/1.1 ")
        if self.written >= self.wanted:
            self.enough()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Everything has been read already."""

    def resume_reading(self) -> None:
        """Nothing more comes by itself."""

    def close(self) -> None:
        """There is nothing to close."""

    abort = close


class ClientTransport(Transport):
    """One end of a pair of sockets; frames are written to its descriptor."""

    def __init__(self) -> None:
        super().__init__()
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.ours if name == "socket" else super().get_extra_info(name, default)

    def write(self, data: Any) -> None:
        self.ours.send(data)

    def read(self) -> bytes:
        """What has been sent to the client so far."""
        try:
            return self.theirs.recv(65536)
        except BlockingIOError:
            return b""

    def lose(self) -> None:
        """The client goes away."""
        self.ours.close()
        self.theirs.close()


class Worker:
    """:ivar parts: everything that a worker consists of."""

    def __init__(self, loop: asyncio.AbstractEventLoop, parts: Parts) -> None:
        self.loop = loop
        self.parts = parts
        self._transport = Transport()

    def connect(self) -> None:
        """A back end's keep-alive connection. Called in the loop."""
        gate = Gate(self.parts.listener.main)
        self._transport.set_protocol(gate)
        gate.connection_made(self._transport)

    def serve(self, requests: bytes, count: int) -> bytes:
        """Feed pipelined requests and let the loop run until all are answered; the last write."""
        transport = self._transport
        transport.written, transport.wanted = 0, count
        transport.enough = self.loop.stop
        self.loop.call_soon(self._feed, requests)
        self.loop.run_forever()
        return transport.last

    def connect_and_subscribe(self, transports: list[ClientTransport]) -> None:
        """Each a new client, from its upgrade request until it is told that it is subscribed."""

        async def run() -> None:
            for transport in transports:
                gate = Gate(self.parts.listener.main)
                transport.set_protocol(gate)
                gate.connection_made(transport)
                gate.data_received(UPGRADE)
                transport.theirs.send(SUBSCRIBE)
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())

    def lose(self, transports: list[ClientTransport]) -> None:
        """They all go away. Raises RuntimeError when one of them was not subscribed."""
        told = [transport.read() for transport in transports]

        async def run() -> None:
            for transport in transports:
                transport.lose()
            for _ in range(20):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())
        if not all(b"subscription_succeeded" in each for each in told):
            raise RuntimeError(f"not subscribed: {told[0]!r}")

    def _feed(self, requests: bytes) -> None:
        self._transport.protocol.data_received(requests)


def subscribe(hub: Hub, channel: str, count: int) -> None:
    """Subscribers without a socket: what is sent to them goes nowhere, as cheaply as can be."""
    for number in range(count):
        connection = Connection(f"1.{number}", None, hub.traffic(APP_ID), None, hub.flush_queue, 65536)  # type: ignore[arg-type]
        hub.add(connection)
        Pending(hub.open(APP_ID, channel), connection).activate(0, [])


def local_api(hub: Hub) -> Api:
    """The HTTP API alone, before a hub without other workers."""
    config = load(None, {}, 1, {"app_manager.array.apps": _APPS}).config
    metrics, cache = Metrics(), NoCache()
    history = MemoryHistory()
    adapter = LocalAdapter(hub, lambda app_id, user_id, reconnect: None, history)
    return build_api(
        apps=AppManager(build_apps(config)),
        publisher=Publisher(adapter, cache, metrics),
        occupancy=MemoryOccupancy(MemoryState(lambda change: None, lambda: None)),
        adapter=adapter,
        cache=cache,
        history=history,
        came_and_went=MemoryHistory(),
        limiter=MemoryRateLimiter(),
        answers=MemoryAnswers(),
        health=Health(),
        metrics=metrics,
        path_prefix="",
        config=config.http_api,
        idempotency=config.idempotency,
        limit=config.rate_limiter.api_rate_limit,
    )


@contextmanager
def worker() -> Iterator[Worker]:
    """A started worker; it is stopped at the end."""
    loop = uvloop.new_event_loop()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        loaded = load(None, {}, 1, {"app_manager.array.apps": _APPS})

        async def start() -> Parts:
            parts = Parts(WorkerSpec(loaded, None, 1, folder), 0, Sockets([], []))
            for part in parts.in_order:
                await part.start()
            return parts

        async def stop(parts: Parts) -> None:
            for part in reversed(parts.in_order):
                await part.stop()

        parts = loop.run_until_complete(start())
        made = Worker(loop, parts)
        loop.call_soon(made.connect)
        try:
            yield made
        finally:
            loop.run_until_complete(stop(parts))
            parts.values.close()
            loop.close()


def publish_request(channel: str, data: str = "x" * 100, timestamp: int | None = None) -> bytes:
    """A signed publish, head and body."""
    body = f'{{"name":"tick","channels":["{channel}"],"data":"{data}"}}'.encode()
    return _request(publish_target(body, timestamp), body)


def batch_request(channel: str, count: int) -> bytes:
    """A signed batch of so many events."""
    event = f'{{"name":"tick","channel":"{channel}","data":"{"x" * 100}"}}'
    body = f'{{"batch":[{",".join([event] * count)}]}}'.encode()
    return _request(publish_target(body, what="batch_events"), body)


def _request(target: str, body: bytes) -> bytes:
    return (
        f"POST {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def publish_target(body: bytes, timestamp: int | None = None, what: str = "events") -> str:
    """Path and signed query of a publish."""
    path = f"/apps/{APP_ID}/{what}"
    query = (
        f"auth_key={KEY}&auth_timestamp={timestamp or int(time.time())}&auth_version=1.0"
        f"&body_md5={hashlib.md5(body).hexdigest()}"
    )
    signature = hmac.digest(SECRET.encode(), f"POST\n{path}\n{query}".encode(), "sha256").hex()
    return f"{path}?{query}&auth_signature={signature}"
