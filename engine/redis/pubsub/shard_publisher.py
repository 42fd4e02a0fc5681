"""Publishing in a Redis Cluster: SPUBLISH to the master of the topic's slot, over one link for each of them.

Its other half is `shard_subscriber.py`; the adapter owns both. When a slot gets another master, what is published to it
is held until every worker may be expected to have followed, and goes on in the order in which it came. It never asks
where a slot is: `topology.py` does.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from redis.crc import key_slot

from engine.config.redis import Node, RedisOptions
from engine.errors import StoreUnavailable, Unconfirmed
from engine.redis.pubsub.link import LOOK_EVERY_S, SILENCE_S, RedisLink
from engine.redis.pubsub.publisher import Arguments
from engine.redis.pubsub.topology import Topology
from engine.redis.scripts import Script

#: How long all that is published to a slot waits after it got another master. Subscribers learn of that within
#: milliseconds from the node that lost the slot, or from their broken connection to it, and subscribe at the new one;
#: a host with too much to do takes a few hundred.
HOLD_S = 0.5
#: What waits longer than this is given up, as are its senders' patience and the adapter's.
PATIENCE_S = 3.0
#: Messages held at one time.
MAX_HELD = 10_000
AWAY = "no connection to this shard of the Redis Cluster"
LATE = "the Redis Cluster did not take it in time"

_numbers = itertools.count()


@dataclass(slots=True)
class Parcel:
    """A message on its way, and who waits for its arrival."""

    topic: bytes
    message: bytes
    slot: int
    future: asyncio.Future[int]
    give_up_at: float
    #: Of the script that publishes it, if one does.
    arguments: Arguments | None = None
    number: int = field(default_factory=lambda: next(_numbers))

    def fail(self, reason: str) -> None:
        """It was not taken."""
        if not self.future.done():
            self.future.set_exception(StoreUnavailable(reason))

    def lose(self, reason: str) -> None:
        """Nobody knows whether it was taken."""
        if not self.future.done():
            self.future.set_exception(Unconfirmed(reason))


class ShardPublisher:
    """The cluster's `PublishLink`.

    :param topology: started before this and stopped after it; its owner calls `on_slots_moved` after each refresh.
    :param script: what `run` runs.
    """

    def __init__(
        self,
        options: RedisOptions,
        topology: Topology,
        on_change: Callable[[bool], None],
        script: Script | None = None,
        count_loss: Callable[[], None] | None = None,
    ) -> None:
        self._options = options
        self._script = script
        self._topology = topology
        self._on_change = on_change
        self._count_loss = count_loss
        self._links: dict[Node, _Link] = {}
        #: Slot -> what waits there; the slots of `_due` go on at a time that is set.
        self._held: dict[int, list[Parcel]] = {}
        self._due: set[int] = set()
        self._held_count = 0
        self._timers: set[asyncio.TimerHandle] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self.connected = False

    async def start(self) -> None:
        """Connects to every master. One that is away is connected to when it is back; then `connected` is False."""
        self._loop = asyncio.get_running_loop()
        for node in self._topology.masters:
            self._links[node] = self._link(node)
        await asyncio.gather(*(link.start() for link in self._links.values()))
        self._look()

    async def stop(self) -> None:
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*(link.stop() for link in self._links.values()), *self._ending)
        for parcels in self._held.values():
            for parcel in parcels:
                parcel.fail("this worker ends")

    def publish(self, topic: bytes, message: bytes) -> asyncio.Future[int]:
        """The future gives how many connections to that node got it, or raises StoreUnavailable."""
        return self._take(topic, message, None)

    def run(self, topic: bytes, arguments: Arguments) -> asyncio.Future[int]:
        """The same as `PublishLink.run`."""
        return self._take(topic, b"", arguments)

    def life_of(self, topic: bytes) -> str:
        """The same as `PublishLink.life_of`."""
        node = self._topology.master(key_slot(topic))
        link = None if node is None else self._links.get(node)
        return link.life if link is not None and link.connected else ""

    def on_slots_moved(self, moved: Iterable[int]) -> None:
        """The topology is fresh."""
        for node in self._topology.masters:
            if node not in self._links:
                link = self._links[node] = self._link(node)
                link.begin()
        for slot in moved:
            self._held.setdefault(slot, [])
        if due := self._held.keys() - self._due:
            self._due |= due
            self._timers = {timer for timer in self._timers if timer.when() > self._loop.time()}
            self._timers.add(self._loop.call_later(HOLD_S, self._release, due))
        self._look()

    # --- inside

    def _take(self, topic: bytes, message: bytes, arguments: Arguments | None) -> asyncio.Future[int]:
        future: asyncio.Future[int] = self._loop.create_future()
        parcel = Parcel(topic, message, key_slot(topic), future, self._loop.time() + PATIENCE_S, arguments)
        if parcel.slot in self._held:
            self._hold(parcel)
        else:
            self._send(parcel)
        return future

    def _link(self, node: Node) -> _Link:
        options = replace(self._options, host=node.host, port=node.port, nodes=())
        return _Link(options, f"publisher {node}", self._on_link, self._on_moved, self._script, self._count_loss)

    def _send(self, parcel: Parcel) -> None:
        node = self._topology.master(parcel.slot)
        link = None if node is None else self._links.get(node)
        if link is None:
            parcel.fail(AWAY)
        else:
            link.carry(parcel)

    def _hold(self, parcel: Parcel) -> None:
        if self._held_count >= MAX_HELD:
            parcel.fail("too much waits for the Redis Cluster")
            return
        self._held_count += 1
        self._held.setdefault(parcel.slot, []).append(parcel)
        # Should the cluster never say where the slot is now.
        self._loop.call_at(parcel.give_up_at, parcel.fail, LATE)

    def _release(self, slots: set[int]) -> None:
        self._due -= slots
        for slot in slots:
            parcels = self._held.pop(slot, [])
            self._held_count -= len(parcels)
            # What a node has refused arrives here behind what was held before it was sent.
            for parcel in sorted(parcels, key=lambda parcel: parcel.number):
                if not parcel.future.done():
                    self._send(parcel)
        for node in self._links.keys() - self._topology.masters:
            end(self._links.pop(node), self._ending)
        self._look()

    def _on_moved(self, parcel: Parcel) -> None:
        """Refused by a node that has lost the slot."""
        self._hold(parcel)
        self._topology.refresh()

    def _on_link(self, connected: bool) -> None:
        if not connected:
            self._topology.refresh()
        self._look()

    def _look(self) -> None:
        links, masters = self._links, self._topology.masters
        connected = bool(masters) and all(node in links and links[node].connected for node in masters)
        if connected != self.connected:
            self.connected = connected
            self._on_change(connected)


class _Link(RedisLink):
    """SPUBLISH, with one parcel for each command, answered in order."""

    def __init__(
        self,
        options: RedisOptions,
        name: str,
        on_change: Callable[[bool], None],
        on_moved: Callable[[Parcel], None],
        script: Script | None,
        count_loss: Callable[[], None] | None,
    ) -> None:
        super().__init__(options, name, on_change, script, count_loss)
        self._on_moved = on_moved
        #: With the tick in which each was sent: see `link.MAX_SILENT`.
        self._waiting: deque[tuple[Parcel | None, int]] = deque()
        self._tick = 0
        #: What waits for the reply that shows that the connection is well, and how many replies come until then; or for
        #: another connection, while it is not yet known whether there can be one.
        self._held: list[Parcel] = []
        self._until_well = 0
        self._returning = False

    async def stop(self) -> None:
        await super().stop()
        # There may be no connection whose loss would do it.
        self._give_back()

    def carry(self, parcel: Parcel) -> None:
        """Send it; but after this process was stopped not before the connection is seen to be well."""
        if not self.connected and not self._returning:
            parcel.fail(AWAY)
            return
        if self.connected and not self._until_well and self._loop.time() - self._turned_at > SILENCE_S:
            self.ask_alive()
            self._until_well = len(self._waiting)
        if not self._until_well and not self._returning:
            self._send_parcel(parcel)
        elif len(self._held) < MAX_HELD:
            self._held.append(parcel)
        else:
            parcel.fail("too much waits for this shard of the Redis Cluster")

    def _send_parcel(self, parcel: Parcel) -> None:
        self._waiting.append((parcel, self._tick))
        if parcel.arguments is None:
            super().send(b"SPUBLISH", parcel.topic, parcel.message)
        else:
            assert self._script is not None
            super().send(b"EVALSHA", self._script.sha, *parcel.arguments(self.life))

    def send(self, *command: bytes | str | int) -> None:
        if not self._greeting:
            self._waiting.append((None, self._tick))
        super().send(*command)

    def on_reply(self, reply: Any) -> None:
        if not self._waiting:
            self.give_up("Redis sent a reply that nobody waits for")
            return
        parcel, _ = self._waiting.popleft()
        if self._until_well:
            self._until_well -= 1
            if not self._until_well:
                self._release()
        if parcel is None:
            return
        if isinstance(reply, int):
            if not parcel.future.done():
                parcel.future.set_result(reply)
        elif str(reply).startswith("MOVED ") or (parcel.arguments is not None and _is_moving(str(reply))):
            self._on_moved(parcel)
        elif parcel.arguments is not None and self._script is not None and str(reply).startswith("NOSCRIPT"):
            self._waiting.append((parcel, self._tick))
            super().send(b"EVAL", self._script.source, *parcel.arguments(self.life))
        else:
            parcel.fail(str(reply))

    def on_tick(self) -> None:
        self._tick += 1
        for parcel, sent in self._waiting:
            if sent >= self._tick - PATIENCE_S / LOOK_EVERY_S:
                break
            if parcel is not None:
                parcel.lose(LATE)

    def on_connected(self) -> None:
        self._returning = False
        self._release()
        super().on_connected()

    def on_unreachable(self, reason: str) -> None:
        self._give_back()
        self.report_change(False)

    def on_lost(self) -> None:
        waiting, self._waiting = self._waiting, deque()
        for parcel, _ in waiting:
            if parcel is not None:
                parcel.lose("connection to Redis lost")
        self._until_well, self._returning = 0, not self._stopped

    def _release(self) -> None:
        """The connection is well: what was held goes on."""
        self._turned_at = self._loop.time()
        held, self._held = self._held, []
        for parcel in held:
            self._send_parcel(parcel)

    def _give_back(self) -> None:
        """What never left waits until it is known who has its slot."""
        self._returning = False
        held, self._held = self._held, []
        for parcel in held:
            self._on_moved(parcel)


def _is_moving(error: str) -> bool:
    """The keys of a script are on their way to another node: it is run when they have arrived, or given up."""
    return error.startswith(("ASK ", "TRYAGAIN"))


def end(link: RedisLink, ending: set[asyncio.Task[None]]) -> None:
    """Stop a link that is needed no more; `ending` holds the task until it is done."""
    task = asyncio.get_running_loop().create_task(link.stop())
    ending.add(task)
    task.add_done_callback(ending.discard)
