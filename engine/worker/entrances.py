"""A worker's listeners as one: that of the main port, and those of the HTTP API's own addresses.

They begin, close and end together, so that nobody who uses them need know how many there are. It serves nothing itself.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine._fast.hub import Hub
from engine._fast.plain_socket import PlainSockets
from engine._fast.readable import Readers
from engine.config.root import Config
from engine.http.application import Answers, build_application, build_runner
from engine.http.connection import HttpConnections, connection_options, head_too_long, whole_refusal
from engine.http.fast_path import FastPath
from engine.http.public import PublicApi
from engine.http.routes import Api
from engine.metrics.metrics import Metrics
from engine.protocol.address import Networks
from engine.protocol.forwarded import Callers
from engine.worker.listener import Listener
from engine.ws.descriptors import of_this_process
from engine.ws.upgrade import Accept, Upgrade


class Sockets(NamedTuple):
    """What a worker listens on. :ivar api: for the HTTP API only; empty where the main port serves it."""

    main: list[socket.socket]
    api: list[socket.socket]


class Entrances:
    """Does with all of them what `Listener` does with one.

    :param plain: reads the WebSockets without TLS that came in, until `stop`: they have ended by then.
    :ivar main: the listener of the main port, the first of them.
    """

    def __init__(self, listeners: Sequence[Listener], plain: PlainSockets) -> None:
        self._listeners = listeners
        self._plain = plain
        self.main = listeners[0]

    async def start(self) -> None:
        for listener in self._listeners:
            await listener.start()

    async def close(self) -> None:
        await asyncio.gather(*(listener.close() for listener in self._listeners))

    async def finish_requests(self) -> None:
        await asyncio.gather(*(listener.finish_requests() for listener in self._listeners))

    async def stop(self) -> None:
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        self._plain.stop()


def build_entrances(
    config: Config,
    sockets: Sockets,
    accept: Accept,
    max_message_bytes: int,
    api: Api,
    publishes: FastPath | None,
    *,
    callers: Callable[[], Callers],
    metrics: Metrics,
    tls: ssl.SSLContext | None,
    hub: Hub,
) -> Entrances:
    """The main port's listener, and one for each kind of address that the API has of its own.

    :param accept: :param max_message_bytes: what `Upgrade` needs. :param publishes: the road of publishes, where that
        is. :param callers: makes what says whose a request is. :param tls: of the main port.
    :param hub: of the connections that come in.
    """

    def listener(
        listening: list[socket.socket],
        upgrade: Upgrade | None,
        answers: Answers,
        publishes: FastPath | None,
        tls: ssl.SSLContext | None,
    ) -> Listener:
        return Listener(
            listening,
            upgrade,
            build_runner(build_application(answers, config.http_api, config.cors, callers()), metrics),
            HttpConnections(connection_options(metrics), config.http_api.request_head_limit_bytes, metrics),
            publishes,
            config.path_prefix,
            tls,
            lambda: len(hub),
            config.max_connections,
            Networks(config.balancers) if config.proxy_protocol.enabled and upgrade is not None else None,
            lambda: metrics.connections.errors.add(1, "", "proxy_header"),
        )

    plain = plain_sockets(hub)
    max_head_bytes = config.http_api.request_head_limit_bytes
    head_too_long_answer = whole_refusal(head_too_long(max_head_bytes))
    upgrade = Upgrade(accept, max_message_bytes, metrics, max_head_bytes, head_too_long_answer, plain)
    if not sockets.api:
        return Entrances([listener(sockets.main, upgrade, api, publishes, tls)], plain)
    unix = [sock for sock in sockets.api if sock.family == socket.AF_UNIX]
    ports = [sock for sock in sockets.api if sock.family != socket.AF_UNIX]
    found = [listener(sockets.main, upgrade, PublicApi(api), None, tls)]
    if ports:
        found.append(listener(ports, None, api, publishes, None if config.http_api.tls is False else tls))
    if unix:
        found.append(listener(unix, None, api, publishes, None))
    return Entrances(found, plain)


def plain_sockets(hub: Hub) -> PlainSockets:
    """Of the running loop's worker."""
    loop = asyncio.get_running_loop()
    readers = Readers(hub.flush_queue, loop.add_reader, loop.remove_reader)
    return PlainSockets(readers, loop.call_soon, of_this_process().first_kept)
