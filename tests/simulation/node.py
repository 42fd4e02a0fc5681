"""One simulated worker: the real reporter, leader and occupancy driver over the simulated network, with clients.

What a client does is a call into the reporter, as `ws/subscriptions` makes it. There are no sockets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from engine._fast.member import Member
from engine.app_manager import AppManager
from engine.errors import StoreUnavailable
from engine.interfaces import Answer, InterestOf
from engine.leader.leader import build_leader
from engine.metrics.metrics import Metrics
from engine.occupancy.redis import RedisOccupancy
from engine.occupancy.reporter import Phase, Reporter
from tests.simulation.loop import SimLoop
from tests.simulation.oracle import Fact
from tests.simulation.plan import APP, JOBS, PREFIX, TOPICS, Plan
from tests.simulation.wire import Client, Peer

REDIS_TIMEOUT_S = 2.5
#: How often a worker tells its supervisor its name in the cluster.
BEAT_S = 1.0


class Jobs:
    """The leader pushes to this list in its own script; nothing else of a queue is used here."""

    default_list = JOBS


class Consumer:
    """In place of the delivery."""

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def worker_died(self, incarnation: str) -> None:
        """Nobody to tell."""


class Subscription:
    """One connection in one channel."""

    def __init__(self, channel: str, member: Member | None) -> None:
        self.channel = channel
        self.member = member
        self.done: Callable[[Answer, bool], None] | None = None


class Node:
    """:ivar stopped: SIGSTOP. :ivar cut: no packet passes. :ivar known_as: what its supervisor last heard."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        apps: AppManager,
        interest_of: InterestOf,
        connect: Callable[[Peer], Client],
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.loop = SimLoop(clock)
        self.dead = self.stopped = self.cut = self.draining = self.serving = False
        self.known_as = ""
        #: What somebody set the clock of its machine ahead or back by.
        self.clock_step_s = 0.0
        self.subscriptions: list[Subscription] = []
        store = RedisOccupancy(connect(self), PREFIX, TOPICS, REDIS_TIMEOUT_S, clock)  # type: ignore[arg-type]
        self.reporter = Reporter(
            store,
            interest_of,
            lambda connected: None,
            lambda resyncing: None,
            lambda *roster: None,
            heartbeat_s=plan.heartbeat_s,
            reconcile_s=plan.reconcile_s,
            converge_s=plan.converge_s,
        )
        self.leader = build_leader(
            store,
            Jobs(),  # type: ignore[arg-type]
            apps,
            plan.batching,
            interest_of,
            Metrics(),
            incarnation=lambda: self.reporter.incarnation,
            node_timeout_ms=plan.node_timeout_ms,
            delivery=Consumer(),
            departed=self.reporter.departed,
            lease_ms=plan.lease_ms,
            look_every_s=plan.look_every_s,
        )

    # --- from outside

    def start(self) -> None:
        self._do(self._start())
        self._do(self._beat())

    def drain(self) -> None:
        """SIGTERM: its clients leave, what is to be told is told, then it ends."""
        self.draining = True
        self.loop.call_soon(lambda: self._do(self._drain()))

    def subscribe(self, channel: str, member: Member | None, limit: int) -> None:
        self.loop.call_soon(self._subscribe, channel, member, limit)

    def unsubscribe(self, subscription: Subscription) -> None:
        self.loop.call_soon(self._unsubscribe, subscription)

    def wake(self) -> None:
        self.loop.call_soon(self.leader.wake)

    def reconnected(self) -> None:
        """The adapter's subscriber connection is back, and may have missed something: as in parts.py."""
        self.loop.call_soon(self._reconnected)

    @property
    def in_trouble(self) -> bool:
        return self.dead or self.stopped or self.cut or self.draining or not self._connected

    @property
    def _connected(self) -> bool:
        return self.serving and self.reporter.phase is not Phase.ALONE

    def facts(self) -> dict[Fact, int]:
        """What it truly holds."""
        facts: dict[Fact, int] = {}
        for subscription in self.subscriptions:
            users = ("",) if subscription.member is None else ("", subscription.member.user_id)
            for user in users:
                facts[subscription.channel, user] = facts.get((subscription.channel, user), 0) + 1
        return facts

    # --- in its own loop

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.create_task(work)

    async def _start(self) -> None:
        try:
            await self.reporter.start()
        except StoreUnavailable:
            self.dead = True
            return
        await self.leader.start()
        self.serving = True

    async def _beat(self) -> None:
        while True:
            self.known_as = self.reporter.incarnation
            await asyncio.sleep(BEAT_S)

    async def _drain(self) -> None:
        for subscription in list(self.subscriptions):
            self._unsubscribe(subscription)
        await self.leader.stop()
        await self.reporter.stop()
        self.dead = True

    def _reconnected(self) -> None:
        if self.serving:
            self.reporter.refresh()

    def _subscribe(self, channel: str, member: Member | None, limit: int) -> None:
        if not self.serving or self.draining:
            return
        subscription = Subscription(channel, member)

        def done(answer: Answer, refused: bool) -> None:
            if refused:
                self._unsubscribe(subscription)
            subscription.done = None

        subscription.done = done
        self.subscriptions.append(subscription)
        self.reporter.add(APP, channel, member, done, limit)

    def _unsubscribe(self, subscription: Subscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)
            self.reporter.remove(APP, subscription.channel, subscription.member, subscription.done)
