"""Which nodes of a Redis Cluster serve which slot: asked anew now and then, and when a node's answer contradicts it.

Sharded links look up here where a topic belongs. It decides nothing and moves nothing.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS

from engine.config.redis import Node, RedisOptions
from engine.errors import StoreUnavailable
from engine.peers.guard import keep
from engine.redis.tls import library_settings
from engine.tasks import cancel, within

#: Without any doubt.
REFRESH_EVERY_S = 5.0
#: Between two refreshes, however much is in doubt.
REFRESH_MIN_S = 0.1
#: For the answer of one node.
TIMEOUT_S = 1.0
#: Nodes asked at once. The one that has seen the newest change is believed.
ASKED = 3

_log = logging.getLogger(__name__)


class View(NamedTuple):
    """One node's answer.

    :param epoch: grows with every change of the cluster that a node learns of.
    :param slots: for each slot the nodes of its shard, the master first; () where there is none.
    """

    epoch: int
    slots: list[tuple[Node, ...]]


class Topology:
    """:param on_refresh: called after each refresh with the slots that have another master than before.
    :param on_replica: called when a node is a replica that was not there at the last look.
    """

    def __init__(
        self,
        options: RedisOptions,
        on_refresh: Callable[[frozenset[int]], None],
        on_replica: Callable[[], None] | None = None,
    ) -> None:
        self._options = options
        self._on_refresh = on_refresh
        self._on_replica = on_replica
        self._slots: list[tuple[Node, ...]] = [()] * REDIS_CLUSTER_HASH_SLOTS
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.masters: frozenset[Node] = frozenset()

    async def start(self) -> None:
        """When no node answers there are no masters yet; that is asked again and again."""
        view = await self._ask_all()
        if view is None:
            _log.warning("cannot reach %s; trying again", self._options.address)
            self._doubt.set()
        else:
            self._slots = view.slots
            self.masters = _masters(view.slots)
        self._task = keep(self._renew, "redis-topology")

    async def stop(self) -> None:
        await cancel(self._task)

    def shard(self, slot: int) -> tuple[Node, ...]:
        """The nodes that serve a slot, the master first."""
        return self._slots[slot]

    def master(self, slot: int) -> Node | None:
        nodes = self._slots[slot]
        return nodes[0] if nodes else None

    def refresh(self) -> None:
        """Something was not where it should be."""
        self._doubt.set()

    # --- inside

    async def _renew(self) -> None:
        """Once it is time, or something is in doubt. Raises StoreUnavailable when no node answers."""
        await asyncio.sleep(REFRESH_MIN_S)
        try:
            await asyncio.wait_for(self._doubt.wait(), REFRESH_EVERY_S)
        except TimeoutError:
            _log.debug("asking for the cluster's slots again, as every %.0f s", REFRESH_EVERY_S)
        self._doubt.clear()
        view = await self._ask_all()
        if view is None:
            self._doubt.set()
            raise StoreUnavailable("no node of the Redis Cluster answers")
        before, self._slots = self._slots, view.slots
        moved = frozenset(
            slot for slot, (old, new) in enumerate(zip(before, view.slots, strict=True)) if old[:1] != new[:1]
        )
        if moved:
            self.masters = _masters(view.slots)
            _log.info("%d slots of the Redis Cluster have another master", len(moved))
        self._on_refresh(moved)
        if self._on_replica is not None and _nodes(view.slots) - _nodes(before) - self.masters:
            self._on_replica()

    async def _ask_all(self) -> View | None:
        """The newest of a few views; of known nodes first, then of those in the configuration."""
        known = _nodes(self._slots)
        for nodes in (known, set(self._options.nodes) - known):
            waiting = random.sample(sorted(nodes), len(nodes))
            while waiting:
                asked, waiting = waiting[:ASKED], waiting[ASKED:]
                views = await asyncio.gather(*map(self._ask, asked))
                if found := [view for view in views if view is not None]:
                    return max(found, key=lambda view: view.epoch)
        return None

    async def _ask(self, node: Node) -> View | None:
        options = self._options
        client = Redis(
            host=node.host,
            port=node.port,
            username=options.username,
            password=options.password,
            ssl=options.tls,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            single_connection_client=True,
            protocol=2,
            **library_settings(options),
        )
        try:
            try:
                async with within(TIMEOUT_S):
                    # As two words redis-py has no reading of its own for it.
                    slots = await client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
                    info = await client.execute_command("CLUSTER", "INFO")  # type: ignore[no-untyped-call]
                return View(_epoch(info), _slots(slots, node)) if slots else None
            finally:
                await client.aclose()
        except Exception as error:  # noqa: BLE001 (another node is asked then; see redis/scripts.py)
            _log.debug("%s does not say who serves which slot: %s", node, error)
            return None


def _epoch(info: Any) -> int:
    for line in bytes(info).splitlines():
        name, _, value = line.partition(b":")
        if name == b"cluster_current_epoch" and value.isdigit():
            return int(value)
    return 0


def _slots(reply: Any, asked: Node) -> list[tuple[Node, ...]]:
    slots: list[tuple[Node, ...]] = [()] * REDIS_CLUSTER_HASH_SLOTS
    for first, last, *nodes in reply:
        # A node that does not know its own name leaves it out.
        shard = tuple(Node((host or b"").decode() or asked.host, port) for host, port, *_ in nodes)
        slots[first : last + 1] = [shard] * (last + 1 - first)
    return slots


def _nodes(slots: Iterable[tuple[Node, ...]]) -> frozenset[Node]:
    return frozenset(node for nodes in set(slots) for node in nodes)


def _masters(slots: Iterable[tuple[Node, ...]]) -> frozenset[Node]:
    return frozenset(nodes[0] for nodes in set(slots) if nodes)
