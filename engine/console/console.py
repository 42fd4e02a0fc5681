"""The console's process, put together: what it knows, from whom, and over which address it is asked.

It holds nothing that a worker needs, and ends when its supervisor does.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.console.apps import Apps
from engine.console.channels import Channels
from engine.console.cluster import Cluster
from engine.console.events import Events
from engine.console.known_apps import KnownApps
from engine.console.node import NodeLink
from engine.console.other_nodes import OtherNodes
from engine.console.overview import Overview
from engine.console.port import ConsolePort
from engine.console.server import ConsoleServer
from engine.console.sessions import Sessions
from engine.console.ticker import Ticker
from engine.console.webhooks import OperatedQueue, Webhooks
from engine.console.workers import AskedPages, AskedQueue, Workers
from engine.control import WorkerSpec, unseal
from engine.interfaces import OccupancyPages
from engine.log.setup import set_up_logging
from engine.occupancy.redis_keys import Keys
from engine.protocol.address import Networks
from engine.protocol.forwarded import Callers
from engine.webhooks.queues.drivers import DRIVERS, Opening

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from engine.config.redis import RedisOptions

#: For one page of channels or members.
REDIS_TIMEOUT_S = 5.0

_log = logging.getLogger(__name__)


class Console:
    """:param spec: what the workers are, too. :param control: connected to the supervisor.
    :param listening: where it is asked.
    """

    def __init__(self, spec: WorkerSpec, control: socket.socket, listening: socket.socket) -> None:
        self._spec = spec
        config = spec.loaded.config
        self._listening = listening
        self._end = asyncio.Event()
        self._sessions = Sessions(config.console.password or "")
        self._apps = KnownApps(config)
        self._node = NodeLink(control, self._on_spec, self._end.set)

    async def run(self) -> None:
        """Answer until the supervisor ends it, or is gone."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._end.set)
        async with AsyncExitStack() as stack:
            self._node.start()
            stack.callback(self._node.stop)
            server = await self._build(stack)
            port = ConsolePort(server.application, self._listening)
            stack.push_async_callback(port.stop)
            await port.start()
            await self._end.wait()

    async def _build(self, stack: AsyncExitStack) -> ConsoleServer:
        spec, config, cluster, others = self._spec, self._spec.loaded.config, None, None
        workers = Workers(Path(spec.metrics_dir))
        pages: OccupancyPages = AskedPages(workers)
        redis = None
        if spec.redis is not None:
            # Imported only where there is a Redis.
            from engine.redis.pool import connect

            redis = connect(spec.redis), spec.redis
            stack.push_async_callback(redis[0].aclose)
        if redis is not None and spec.loaded.resolved.adapter == "redis":
            from engine.occupancy.redis_pages import RedisPages

            keys = Keys(config.database.redis.key_prefix)
            cluster = Cluster(redis[0], keys, clustered=bool(redis[1].nodes))
            pages = RedisPages(redis[0], keys, REDIS_TIMEOUT_S)
            others = OtherNodes(*redis, config.adapter.redis.prefix, Path(spec.metrics_dir).name)
        name = f"{socket.gethostname()}:{config.port}"
        self._overview = Overview(self._node, Path(spec.metrics_dir), name, cluster, others)
        channels = Channels(self._apps, pages)
        events = Events(self._apps, workers, others)
        webhooks = Webhooks(self._apps, await self._queue(stack, redis, workers))
        apps = Apps(self._apps)
        ticker = Ticker(self._overview.read, "console-overview")
        return ConsoleServer(
            self._sessions,
            Callers(Networks(config.trusted_proxies)),
            reads={
                "session": self._session,
                "apps": apps.read,
                "channels": channels.channels,
                "members": channels.members,
                "users": channels.users,
                "webhooks": webhooks.read,
            },
            acts={
                "webhooks_retry": webhooks.retry,
                "webhooks_forget": webhooks.forget,
                "publish": events.publish,
                "apps_add": apps.add,
                "apps_rotate": apps.rotate,
                "apps_finish": apps.finish,
                "apps_enable": apps.enable,
                "apps_remove": apps.remove,
            },
            streams={"overview": lambda _: self._looks(ticker), "events": events.listen},
        )

    async def _looks(self, ticker: Ticker) -> AsyncIterator[bytes]:
        async with self._overview.watched(), aclosing(ticker.listen()) as looks:
            async for look in looks:
                yield look

    async def _queue(
        self, stack: AsyncExitStack, redis: tuple[Redis, RedisOptions] | None, workers: Workers
    ) -> OperatedQueue:
        """The webhooks' queue, opened as by an operator's command."""
        driver = DRIVERS[self._spec.loaded.resolved.queue]
        if driver.kept_in == "worker":
            return AskedQueue(workers)
        queue = driver.open(Opening(self._spec.loaded.config.queue, None, redis))
        await queue.start()
        stack.push_async_callback(queue.stop)
        return queue

    async def _session(self, _: dict[str, Any]) -> dict[str, Any]:
        """What the page needs first."""
        return {"version": _version(), "apps": await self._apps.listed(), **self._overview.about()}

    def _on_spec(self, spec: WorkerSpec) -> None:
        """The configuration was read again."""
        self._sessions.change_password(spec.loaded.config.console.password or "")
        self._apps.reconfigure(spec.loaded.config)


def _version() -> str:
    try:
        return metadata.version("engine")
    except metadata.PackageNotFoundError:
        return ""


def main(arguments: list[str]) -> int:
    """:param arguments: descriptors of the spec, the control socket and the listening socket."""
    # One for all processes of a service is meant for the supervisor.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    spec_fd, control_fd, listening_fd = map(int, arguments)
    spec = unseal(spec_fd)
    config = spec.loaded.config
    set_up_logging(config.logging, debug=config.debug, slot="console")

    async def run() -> None:
        await Console(spec, socket.socket(fileno=control_fd), socket.socket(fileno=listening_fd)).run()

    asyncio.run(run())
    return 0
