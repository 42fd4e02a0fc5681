"""Subscribing in a Redis Cluster: SSUBSCRIBE at the shard of the topic's slot, over one link for each master.

Topics find a place again by themselves when their shard fails over, or their slot is given to another. A topic stays
with a master that has become a replica: the nodes of one shard pass on to each other what is published to it. It looks
into no message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import hiredis
from redis.crc import key_slot

from engine.config.redis import Node, RedisOptions
from engine.log.setup import Seldom
from engine.redis.pubsub.link import ALIVE, Reader, RedisLink
from engine.redis.pubsub.shard_publisher import end
from engine.redis.pubsub.subscriber import MAX_TICKS, SETTLED, Done, Topic, note_refusal
from engine.redis.pubsub.topology import Topology

#: Errors after which a topic is to be subscribed elsewhere, or later. Any other is the operator's to mend.
_ELSEWHERE = ("MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "MASTERDOWN")

_log = logging.getLogger(__name__)


class _Topic(Topic):
    """A topic, and where it is subscribed; its confirmations are those that are due there."""

    __slots__ = ("link", "slot")

    def __init__(self, topic: bytes) -> None:
        super().__init__()
        self.slot = key_slot(topic)
        self.link: _Link | None = None


class ShardSubscriber:
    """The cluster's `SubscribeLink`.

    :param topology: started before this and stopped after it; its owner calls `on_slots_moved` after each refresh.
    :param on_message: called with (topic, message) of what the readers leave to others.
    :param make_reader: makes what reads the replies of one link.
    """

    def __init__(
        self,
        options: RedisOptions,
        topology: Topology,
        on_message: Callable[[bytes, bytes], None],
        on_change: Callable[[bool], None],
        count_loss: Callable[[], None] | None = None,
        on_hole: Callable[[float], None] | None = None,
        make_reader: Callable[[], Reader] = hiredis.Reader,
    ) -> None:
        self._options = options
        self._topology = topology
        self._on_message = on_message
        self._on_change = on_change
        self.count_loss = count_loss
        self._on_hole = on_hole
        self.make_reader = make_reader
        #: When topics were without a place first, of those that are now.
        self._hole_since = 0.0
        self._links: dict[Node, _Link] = {}
        self._topics: dict[bytes, _Topic] = {}
        #: Wanted topics that lost their place, until the next one is confirmed.
        self._homeless: set[bytes] = set()
        #: Topics that their shard refuses to a worker that has subscribers of them; asked for again.
        self._refused: set[bytes] = set()
        self._refusal_logged = Seldom()
        self.refusal = ""
        self._ending: set[asyncio.Task[None]] = set()
        #: Every master is connected to, and every topic of before is subscribed again.
        self.renewed = False

    def hand_to(self, on_message: Callable[[bytes, bytes], None]) -> None:
        """From now on this is called instead."""
        self._on_message = on_message

    async def start(self) -> None:
        """Connects to every master. One that is away is connected to when it is back; then `renewed` is False."""
        for node in self._topology.masters:
            self._links[node] = self._link(node)
        await asyncio.gather(*(link.start() for link in self._links.values()))
        self._look()

    async def stop(self) -> None:
        await asyncio.gather(*(link.stop() for link in self._links.values()), *self._ending)

    def subscribe(self, topic: bytes, done: Done | None = None) -> None:
        """`done` is called once the shard has confirmed; at once if it had, or if the shard is away: then this worker
        serves alone, and subscribes when the shard, or its successor, is there."""
        entry = self._topics.get(topic)
        if entry is None:
            entry = self._topics[topic] = _Topic(topic)
        if done is not None:
            entry.waiting.append(done)
        if not entry.wanted:
            entry.wanted = True
            self._place(topic, entry)
        elif entry.link is not None and not entry.outstanding:
            if topic in self._refused:
                entry.outstanding = 1
                entry.link.subscribe(topic)
            else:
                entry.answer(True)
        elif entry.link is None:
            self._answer_if_away(entry)

    def unsubscribe(self, topic: bytes) -> None:
        entry = self._topics.get(topic)
        if entry is None or not entry.wanted:
            return
        entry.wanted = False
        entry.waiting.clear()
        if entry.link is not None:
            entry.link.unsubscribe(topic)
        if not entry.outstanding:
            del self._topics[topic]
        if topic in self._homeless or topic in self._refused:
            self._homeless.discard(topic)
            self._refused.discard(topic)
            self._look()

    async def settle(self, timeout_s: float) -> None:
        """Return when everything published before this call has been passed on, or when that cannot be known."""
        answers = [link.ask() for link in self._links.values() if link.connected]
        if answers:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.wait(answers), timeout_s)

    def on_slots_moved(self, moved: frozenset[int]) -> None:
        """The topology is fresh."""
        for node in self._topology.masters:
            if node not in self._links:
                link = self._links[node] = self._link(node)
                link.begin()
        for topic, entry in list(self._topics.items()) if moved else ():
            left = entry.link
            if left is not None and entry.slot in moved and left.node not in self._topology.shard(entry.slot):
                # The node has not reported yet that it has lost the slot.
                left.unsubscribe(topic)
                self._lose(topic, entry)
        for topic in list(self._homeless):
            entry = self._topics[topic]
            if entry.link is None:
                self._place(topic, entry)
        if gone := self._links.keys() - self._topology.masters:
            used = {entry.link.node for entry in self._topics.values() if entry.link is not None}
            for node in gone - used:
                end(self._links.pop(node), self._ending)
        self._look()

    # --- where topics are

    def _link(self, node: Node) -> _Link:
        return _Link(replace(self._options, host=node.host, port=node.port, nodes=()), node, self)

    def _place(self, topic: bytes, entry: _Topic) -> None:
        node = self._topology.master(entry.slot)
        link = None if node is None else self._links.get(node)
        if link is not None and link.connected:
            entry.link = link
            entry.outstanding = 1
            link.subscribe(topic)
        else:
            self._lose(topic, entry)
            self._answer_if_away(entry)

    def _lose(self, topic: bytes, entry: _Topic) -> None:
        entry.link = None
        entry.outstanding = 0
        self._refused.discard(topic)
        if entry.wanted:
            self._homeless.add(topic)
        else:
            del self._topics[topic]
        self._look()

    def _answer_if_away(self, entry: _Topic) -> None:
        """Nobody waits for a shard that cannot be reached; for one that is being connected to they do."""
        node = self._topology.master(entry.slot)
        link = None if node is None else self._links.get(node)
        if link is None or link.away:
            entry.answer(True)

    # --- what links report

    def on_message(self, topic: bytes, message: bytes) -> None:
        self._on_message(topic, message)

    def on_confirmed(self, link: _Link, topic: bytes) -> None:
        entry = self._topics.get(topic)
        if entry is None or entry.link is not link or not entry.outstanding:
            return
        entry.outstanding -= 1
        if entry.outstanding:
            return
        if not entry.wanted:
            del self._topics[topic]
            return
        if topic in self._homeless or topic in self._refused:
            self._homeless.discard(topic)
            self._refused.discard(topic)
            self._look()
        entry.answer(True)

    def on_refused(self, link: _Link, topic: bytes, error: str) -> None:
        entry = self._topics.get(topic)
        if not error.startswith(_ELSEWHERE):
            # NOPERM, for example.
            if entry is not None and entry.link is link and entry.outstanding:
                entry.outstanding = 0
                entry.answer(False)
                if self._topics.get(topic) is entry:
                    self._refused.add(topic)
                    self.refusal = error
                    self._look()
            note_refusal(self._refusal_logged, error)
        elif entry is not None and entry.link is link:
            self._lose(topic, entry)
            self._topology.refresh()

    def on_dropped(self, link: _Link, topic: bytes) -> None:
        """The node has lost the topic's slot. As a replica of who has it now it takes the topic again, and at once is
        better than after asking who that is; otherwise it refuses, and the topic finds another place."""
        entry = self._topics.get(topic)
        if entry is not None and entry.link is link and entry.wanted:
            self._homeless.add(topic)
            entry.outstanding = 1
            link.subscribe(topic)
            self._topology.refresh()
            self._look()

    def on_tick(self, link: _Link) -> None:
        for topic in list(self._refused):
            entry = self._topics[topic]
            if entry.link is link and not entry.outstanding:
                entry.outstanding = 1
                link.subscribe(topic)

    def on_connected(self, link: _Link) -> None:
        for topic in list(self._homeless):
            entry = self._topics[topic]
            if entry.link is None and self._topology.master(entry.slot) == link.node:
                self._place(topic, entry)
        self._look()

    def on_lost(self, link: _Link) -> None:
        for topic, entry in list(self._topics.items()):
            if entry.link is link:
                self._lose(topic, entry)
        self.on_away(link)

    def on_away(self, link: _Link) -> None:
        for topic in self._homeless:
            entry = self._topics[topic]
            if entry.link is None and self._topology.master(entry.slot) == link.node:
                entry.answer(True)
        self._look()
        self._topology.refresh()

    def _look(self) -> None:
        links, masters = self._links, self._topology.masters
        if not self._refused:
            self.refusal = ""
        renewed = (
            not (self._homeless or self._refused)
            and bool(masters)
            and all(node in links and links[node].connected for node in masters)
        )
        if renewed != self.renewed:
            self.renewed = renewed
            self._note_hole(renewed)
            self._on_change(renewed)

    def _note_hole(self, over: bool) -> None:
        now = asyncio.get_running_loop().time()
        if not over:
            self._hole_since = now
        elif self._hole_since and self._on_hole is not None:
            self._on_hole(now - self._hole_since)


class _Link(RedisLink):
    """The subscriber connection to one node. Each command has exactly one reply, which says by its order what an error
    was about; between replies stand messages, and topics whose slot was taken away.

    :ivar away: it was tried and cannot be reached.
    """

    def __init__(self, options: RedisOptions, node: Node, owner: ShardSubscriber) -> None:
        super().__init__(options, f"subscriber {node}", count_loss=owner.count_loss, make_reader=owner.make_reader)
        self.node = node
        self.away = False
        self._owner = owner
        #: Commands without a reply yet: (word of the reply, topic, tick).
        self._due: deque[tuple[bytes, bytes, int]] = deque()
        self._tick = 0
        self._asking: list[asyncio.Future[None]] = []

    def subscribe(self, topic: bytes) -> None:
        self._due.append((b"ssubscribe", topic, self._tick))
        super().send(b"SSUBSCRIBE", topic)

    def unsubscribe(self, topic: bytes) -> None:
        if self.connected:
            self._due.append((b"sunsubscribe", topic, self._tick))
            super().send(b"SUNSUBSCRIBE", topic)

    def ask(self) -> asyncio.Future[None]:
        """Done when all that was on its way here has been passed on."""
        future = self._loop.create_future()
        self._asking.append(future)
        self._leave_nothing(SETTLED)
        return future

    def ask_alive(self) -> None:
        self._leave_nothing(ALIVE)

    def on_tick(self) -> None:
        self._tick += 1
        if self._due and self._tick - self._due[0][2] > MAX_TICKS:
            self.give_up("Redis does not answer a command")
        else:
            self._owner.on_tick(self)

    def _leave_nothing(self, topic: bytes) -> None:
        """The classical command, which every node answers for any topic."""
        self._due.append((b"unsubscribe", topic, self._tick))
        super().send(b"UNSUBSCRIBE", topic)

    def on_reply(self, reply: Any) -> None:
        match reply:
            case [b"smessage", bytes(topic), bytes(message)]:
                self._owner.on_message(topic, message)
            case [b"ssubscribe" as word, bytes(topic), _]:
                self._settle_due(word, topic)
                self._owner.on_confirmed(self, topic)
            case [b"sunsubscribe" as word, bytes(topic), _]:
                if not self._settle_due(word, topic):
                    self._owner.on_dropped(self, topic)
            case [b"unsubscribe" as word, bytes(topic), _] if self._settle_due(word, topic):
                self._on_left(topic)
            case hiredis.ReplyError() if self._due:
                word, topic, _ = self._due.popleft()
                if word == b"ssubscribe":
                    self._owner.on_refused(self, topic, str(reply))
                else:
                    self._on_left(topic)
            case _:
                self.give_up("Redis sent something unexpected on the subscriber connection")

    def _on_left(self, topic: bytes) -> None:
        if topic == SETTLED and self._asking:
            self._asking.pop(0).set_result(None)

    def _settle_due(self, word: bytes, topic: bytes) -> bool:
        """Whether this answers the oldest command."""
        if not self._due or self._due[0][:2] != (word, topic):
            return False
        self._due.popleft()
        return True

    def on_connected(self) -> None:
        self.away = False
        self._owner.on_connected(self)

    def on_unreachable(self, reason: str) -> None:
        self.away = True
        self._owner.on_away(self)

    def on_lost(self) -> None:
        self.away = True
        self._due.clear()
        for future in self._asking:
            if not future.done():
                future.set_result(None)
        self._asking.clear()

    def report_change(self, connected: bool) -> None:
        if not connected:
            self._owner.on_lost(self)
