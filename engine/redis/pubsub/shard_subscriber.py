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
from engine.redis.pubsub.subscriber import MAX_TICKS, SETTLED, Done, Unconfirmed, note_refusal
from engine.redis.pubsub.topology import Topology

#: Errors after which a topic is to be subscribed elsewhere, or later. Any other is the operator's to mend.
_ELSEWHERE = ("MOVED", "ASK", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "MASTERDOWN")

_log = logging.getLogger(__name__)


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
        #: The slot of each topic that somebody here wants.
        self._slots: dict[bytes, int] = {}
        #: Where they are subscribed, or are about to be. No object for each topic: the garbage collector would look at
        #: them all.
        self._places: dict[bytes, _Link] = {}
        #: Those that lost their place or never had one, until the next one is confirmed.
        self._homeless: set[bytes] = set()
        #: Who waits for a confirmation, or for a shard that is being connected to.
        self._waiting: dict[bytes, list[Done]] = {}
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
        if done is not None:
            self._waiting.setdefault(topic, []).append(done)
        link = self._places.get(topic)
        if topic not in self._slots:
            self._slots[topic] = key_slot(topic)
            self._place(topic)
        elif link is None:
            self._answer_if_away(topic)
        elif not link.confirming(topic):
            if topic in self._refused:
                link.subscribe(topic)
            else:
                self._answer(topic, True)

    def unsubscribe(self, topic: bytes) -> None:
        if self._slots.pop(topic, None) is None:
            return
        self._waiting.pop(topic, None)
        link = self._places.pop(topic, None)
        if link is not None:
            link.unsubscribe(topic)
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
        for topic, left in list(self._places.items()) if moved else ():
            slot = self._slots[topic]
            if slot in moved and left.node not in self._topology.shard(slot):
                # The node has not reported yet that it has lost the slot.
                left.unsubscribe(topic)
                self._lose(topic)
        for topic in list(self._homeless):
            if topic not in self._places:
                self._place(topic)
        if gone := self._links.keys() - self._topology.masters:
            used = {link.node for link in self._places.values()}
            for node in gone - used:
                end(self._links.pop(node), self._ending)
        self._look()

    # --- where topics are

    def _link(self, node: Node) -> _Link:
        return _Link(replace(self._options, host=node.host, port=node.port, nodes=()), node, self)

    def _place(self, topic: bytes) -> None:
        link = self._home(topic)
        if link is not None and link.connected:
            self._places[topic] = link
            link.subscribe(topic)
        else:
            self._lose(topic)
            self._answer_if_away(topic)

    def _home(self, topic: bytes) -> _Link | None:
        """The link to the master of its slot, if it is wanted and there are both."""
        slot = self._slots.get(topic)
        node = None if slot is None else self._topology.master(slot)
        return None if node is None else self._links.get(node)

    def _lose(self, topic: bytes) -> None:
        self._places.pop(topic, None)
        self._refused.discard(topic)
        self._homeless.add(topic)
        self._look()

    def _answer_if_away(self, topic: bytes) -> None:
        """Nobody waits for a shard that cannot be reached; for one that is being connected to they do."""
        link = self._home(topic)
        if link is None or link.away:
            self._answer(topic, True)

    def _answer(self, topic: bytes, live: bool) -> None:
        """Call those who waited for it."""
        for done in self._waiting.pop(topic, ()):
            done(live)

    # --- what links report

    def on_message(self, topic: bytes, message: bytes) -> None:
        self._on_message(topic, message)

    def on_confirmed(self, link: _Link, topic: bytes) -> None:
        """No other confirmation of it is due there."""
        if self._places.get(topic) is not link:
            return
        if topic in self._homeless or topic in self._refused:
            self._homeless.discard(topic)
            self._refused.discard(topic)
            self._look()
        self._answer(topic, True)

    def on_refused(self, link: _Link, topic: bytes, error: str) -> None:
        if not error.startswith(_ELSEWHERE):
            # NOPERM, for example.
            if self._is_refused(link, topic):
                # Whoever waited may have been the only one who wanted it.
                self._answer(topic, False)
            if self._is_refused(link, topic):
                self._refused.add(topic)
                self.refusal = error
                self._look()
            note_refusal(self._refusal_logged, error)
        elif self._places.get(topic) is link:
            self._lose(topic)
            self._topology.refresh()

    def _is_refused(self, link: _Link, topic: bytes) -> bool:
        return self._places.get(topic) is link and not link.confirming(topic)

    def on_dropped(self, link: _Link, topic: bytes) -> None:
        """The node has lost the topic's slot. As a replica of who has it now it takes the topic again, and at once is
        better than after asking who that is; otherwise it refuses, and the topic finds another place."""
        if self._places.get(topic) is link:
            self._homeless.add(topic)
            link.subscribe(topic)
            self._topology.refresh()
            self._look()

    def on_tick(self, link: _Link) -> None:
        for topic in list(self._refused):
            if self._is_refused(link, topic):
                link.subscribe(topic)

    def on_connected(self, link: _Link) -> None:
        for topic in list(self._homeless):
            if topic not in self._places and self._home(topic) is link:
                self._place(topic)
        self._look()

    def on_lost(self, link: _Link) -> None:
        for topic, place in list(self._places.items()):
            if place is link and topic in self._slots:
                self._lose(topic)
        self.on_away(link)

    def on_away(self, link: _Link) -> None:
        for topic in list(self._homeless):
            if topic not in self._places and self._home(topic) is link:
                self._answer(topic, True)
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
        self._unconfirmed = Unconfirmed()
        self._tick = 0
        self._asking: list[asyncio.Future[None]] = []

    def confirming(self, topic: bytes) -> bool:
        """Whether it is subscribed to with a confirmation still due."""
        return topic in self._unconfirmed

    def subscribe(self, topic: bytes) -> None:
        self._unconfirmed.ask(topic)
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
                if self._unconfirmed.settle(topic):
                    self._owner.on_confirmed(self, topic)
            case [b"sunsubscribe" as word, bytes(topic), _]:
                if not self._settle_due(word, topic):
                    self._owner.on_dropped(self, topic)
            case [b"unsubscribe" as word, bytes(topic), _] if self._settle_due(word, topic):
                self._on_left(topic)
            case hiredis.ReplyError() if self._due:
                word, topic, _ = self._due.popleft()
                if word == b"ssubscribe":
                    self._unconfirmed.settle(topic)
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
        self._unconfirmed.clear()
        for future in self._asking:
            if not future.done():
                future.set_result(None)
        self._asking.clear()

    def report_change(self, connected: bool) -> None:
        if not connected:
            self._owner.on_lost(self)
