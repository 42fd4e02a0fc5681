"""Workers' adapters with their hubs, as the tests of this folder use them: one server, a cluster, or one host."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from engine.adapter.redis import RedisAdapter
from engine.adapter.redis_cluster import RedisClusterAdapter
from engine.adapter.shared_memory import SharedMemoryAdapter
from engine.adapter.shared_memory_files import LogFiles
from engine.config.redis import RedisOptions
from engine.interfaces import ClusterEvents, MemberChange, TotalChange
from engine.metrics.metrics import Metrics
from tests._fast.pair import HubServer, hub_server
from tests.support.waiting import PATIENCE_S

#: Events of so many bytes are sure to go through the log of one host.
LONGEST_EVENT = 1024


class AdapterWorker:
    """One worker's hub and adapter.

    :param log: for a SharedMemoryAdapter, whose worker has this number in it; None for one of the others.
    """

    def __init__(
        self,
        server: HubServer,
        options: RedisOptions,
        prefix: str,
        fallback: bool = True,
        log: LogFiles | None = None,
        number: int = 0,
    ) -> None:
        self.server = server
        self.prefix = prefix
        self.metrics = Metrics()
        self.members: list[MemberChange] = []
        self.totals: list[TotalChange] = []
        self.terminated: list[tuple[str, str, bool]] = []
        self.wakes = 0
        self.states: list[bool] = []
        self.missed: list[int] = []
        events = ClusterEvents(
            on_member_change=self.members.append,
            on_total_change=self.totals.append,
            on_terminate=lambda *user: self.terminated.append(user),
            on_wake=self._wake,
            on_connected=lambda connected, _: self.states.append(connected),
            on_missed=self.missed.append,
        )
        given = (server.hub, options, prefix, fallback, events, self.metrics.adapter, prefix)
        self.adapter: RedisAdapter
        if log is not None:
            self.adapter = SharedMemoryAdapter(*given, log.open(number), log.wakers[number])
        elif options.nodes:
            self.adapter = RedisClusterAdapter(*given, lambda _, name: name == "counted")
        else:
            self.adapter = RedisAdapter(*given)

    def _wake(self) -> None:
        self.wakes += 1

    async def subscribe(self, channel: str) -> None:
        done = asyncio.Event()
        self.adapter.subscribe("app", channel, lambda _: done.set())
        await asyncio.wait_for(done.wait(), PATIENCE_S)


@asynccontextmanager
async def workers_on(
    options: RedisOptions, count: int = 2, fallback: bool = True, host: bool = False
) -> AsyncIterator[list[AdapterWorker]]:
    """Workers that are started, whose topics nobody else has.

    :param host: they share the log of one host.
    """
    prefix = f"t-{uuid.uuid4().hex}:"
    async with hub_server() as one, hub_server() as two:
        with _log(count if host else 0) as log:
            made = [AdapterWorker(b, options, prefix, fallback, log, n) for n, b in enumerate((one, two)[:count])]
            try:
                for worker in made:
                    await worker.adapter.start()
                yield made
            finally:
                for worker in made:
                    await worker.adapter.stop()


@contextmanager
def _log(workers: int) -> Iterator[LogFiles | None]:
    if not workers:
        yield None
        return
    log = LogFiles.create(workers, LONGEST_EVENT)
    try:
        yield log
    finally:
        log.close()
