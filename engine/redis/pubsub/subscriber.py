"""The subscriber connection: topics come and go with this worker's subscribers, and are kept over reconnects.

Looks into no message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis

from engine.config.redis import RedisOptions
from engine.log.setup import Seldom
from engine.redis.pubsub.link import ALIVE, Reader, RedisLink

#: Topics per SUBSCRIBE when all are renewed after a reconnect, so that no command grows without bound.
RENEW_AT_ONCE = 500
#: Questions that are answered in order with all else; the topics are nobody's.
RENEWED, SETTLED = b"renewed", b"settled"
#: Questions for a sign of life after which a command without a reply is one that will get none.
MAX_TICKS = 10
#: Refused topics that are asked for again with each of those questions.
ASKED_AGAIN = 100


_log = logging.getLogger(__name__)

#: Called with whether the subscription is live; otherwise Redis refuses it.
Done = Callable[[bool], None]


class Unconfirmed(dict[bytes, int]):
    """Topic -> commands to subscribe to it without a reply: only the last confirmation counts, since a command to leave
    it may have been sent between two of them."""

    def ask(self, topic: bytes) -> None:
        self[topic] = self.get(topic, 0) + 1

    def settle(self, topic: bytes) -> bool:
        """One reply more; whether it was the last of those that were due."""
        due = self.pop(topic, 0) - 1
        if due > 0:
            self[topic] = due
        return due == 0


class _Asked:
    """A command whose replies are due: one for each of its topics, or one error for all of them."""

    __slots__ = ("answered", "tick", "topics", "word")

    def __init__(self, word: bytes, topics: tuple[bytes, ...], tick: int) -> None:
        self.word = word
        self.topics = topics
        self.tick = tick
        self.answered = 0


class SubscribeLink(RedisLink):
    """SUBSCRIBE and UNSUBSCRIBE, and what is published in between.

    :param on_message: called with (topic, message) of what the reader leaves to others.
    :param on_hole: called with the seconds of which nothing was heard, each time that the connection stands again.

    :ivar refusal: what Redis says of topics that it refuses to a worker that has subscribers of them; "" for none.
    """

    def __init__(
        self,
        options: RedisOptions,
        name: str,
        on_message: Callable[[bytes, bytes], None],
        on_change: Callable[[bool], None] | None = None,
        count_loss: Callable[[], None] | None = None,
        on_hole: Callable[[float], None] | None = None,
        make_reader: Callable[[], Reader] = hiredis.Reader,
    ) -> None:
        super().__init__(options, name, on_change, count_loss=count_loss, make_reader=make_reader)
        self._on_message = on_message
        self._on_hole = on_hole
        #: Topics that somebody here wants, in the order in which they came. No object for each: the garbage collector
        #: would look at them all.
        self._wanted: dict[bytes, None] = {}
        #: Whether they are wanted or not.
        self._unconfirmed = Unconfirmed()
        #: Who waits for that.
        self._waiting: dict[bytes, list[Done]] = {}
        self._due: deque[_Asked] = deque()
        self._tick = 0
        self._refused: dict[bytes, None] = {}
        self._heard_at = self._deaf_since = 0.0
        self._renewed = False
        self._settled = asyncio.Event()
        self._refusal_logged = Seldom()
        self.refusal = ""

    def hand_to(self, on_message: Callable[[bytes, bytes], None]) -> None:
        """From now on this is called instead."""
        self._on_message = on_message

    @property
    def renewed(self) -> bool:
        """Connected, and subscribed again to everything of before."""
        return self._renewed and not self._refused

    def subscribe(self, topic: bytes, done: Done | None = None) -> None:
        """`done` is called once Redis has confirmed or refused; at once if it had confirmed, or if there is no
        connection: then this worker serves alone, and subscribes when Redis is back."""
        new = topic not in self._wanted
        self._wanted[topic] = None
        if self.connected and (new or (topic in self._refused and topic not in self._unconfirmed)):
            self._ask(b"subscribe", topic)
        if done is not None:
            if topic in self._unconfirmed:
                self._waiting.setdefault(topic, []).append(done)
            else:
                done(True)

    def unsubscribe(self, topic: bytes) -> None:
        if self._wanted.pop(topic, topic) is not None:
            return
        self._waiting.pop(topic, None)
        if self.connected:
            self._ask(b"unsubscribe", topic)
        self._forgive(topic)

    async def settle(self, timeout_s: float) -> None:
        """Return when everything published before this call has been passed on, or when that cannot be known."""
        if not self.connected:
            return
        self._settled = asyncio.Event()
        self._ask(b"unsubscribe", SETTLED)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), timeout_s)

    def ask_alive(self) -> None:
        self._ask(b"unsubscribe", ALIVE)

    def on_connected(self) -> None:
        topics = list(self._wanted)
        for at in range(0, len(topics), RENEW_AT_ONCE):
            self._ask(b"subscribe", *topics[at : at + RENEW_AT_ONCE])
        self._ask(b"unsubscribe", RENEWED)

    def on_lost(self) -> None:
        if self._renewed:
            self._deaf_since = self._heard_at
        self._renewed = False
        self._due.clear()
        self._refused.clear()
        self.refusal = ""
        self._unconfirmed.clear()
        for topic in list(self._waiting):
            self._answer(topic, True)

    def on_tick(self) -> None:
        self._tick += 1
        if self._due and self._tick - self._due[0].tick > MAX_TICKS:
            self.give_up("Redis does not answer a command")
            return
        for topic in list(self._refused)[:ASKED_AGAIN]:
            if topic not in self._unconfirmed:
                self._ask(b"subscribe", topic)

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._loop.time()
        super().data_received(data)

    def on_reply(self, reply: Any) -> None:
        match reply:
            case [b"message", bytes(topic), bytes(message)]:
                self._on_message(topic, message)
            case [b"subscribe" | b"unsubscribe" as word, bytes(topic), _]:
                self._on_answered(word, topic)
            case hiredis.ReplyError() if self._due and not self._due[0].answered:
                self._on_refused(self._due.popleft(), str(reply))
            case _:
                self.give_up("Redis sent something unexpected on the subscriber connection")

    def _ask(self, word: bytes, *topics: bytes) -> None:
        if word == b"subscribe":
            for topic in topics:
                self._unconfirmed.ask(topic)
        self._due.append(_Asked(word, topics, self._tick))
        self.send(word.upper(), *topics)

    def _on_answered(self, word: bytes, topic: bytes) -> None:
        asked = self._due[0] if self._due else None
        if asked is None or asked.word != word or asked.topics[asked.answered] != topic:
            self.give_up("Redis answered what it was not asked on the subscriber connection")
            return
        asked.answered += 1
        if asked.answered == len(asked.topics):
            self._due.popleft()
        if word == b"subscribe":
            self._on_subscribed(topic)
        else:
            self._on_left(topic)

    def _on_left(self, topic: bytes) -> None:
        """Replies come in order: what was asked before is done."""
        if topic == SETTLED:
            self._settled.set()
        elif topic == RENEWED:
            self._renewed = True
            if self._deaf_since and self._on_hole is not None:
                self._on_hole(self._loop.time() - self._deaf_since)
            self._deaf_since = 0.0
            self._heard_at = self._loop.time()
            self.report_change(True)

    def _on_subscribed(self, topic: bytes) -> None:
        if self._confirmed(topic):
            self._answer(topic, True)
            self._forgive(topic)

    def _on_refused(self, asked: _Asked, error: str) -> None:
        """NOPERM, for example. Which of several topics is meant is not said."""
        if asked.word != b"subscribe":
            for topic in asked.topics:
                self._on_left(topic)
            return
        for topic in asked.topics:
            if not self._confirmed(topic):
                continue
            if len(asked.topics) > 1:
                self._ask(b"subscribe", topic)
                continue
            # Whoever waited may have been the only one who wanted it.
            self._answer(topic, False)
            if topic in self._wanted and topic not in self._unconfirmed and topic not in self._refused:
                self._refused[topic] = None
                self.refusal = error
                self.report_change(False)
            note_refusal(self._refusal_logged, error)

    def _confirmed(self, topic: bytes) -> bool:
        """One reply more of those that are due for a topic; whether it is wanted and this was the last."""
        return self._unconfirmed.settle(topic) and topic in self._wanted

    def _answer(self, topic: bytes, live: bool) -> None:
        """Call those who waited for it."""
        for done in self._waiting.pop(topic, ()):
            done(live)

    def _forgive(self, topic: bytes) -> None:
        """It is subscribed to, or wanted no more."""
        if self._refused.pop(topic, topic) is None and not self._refused:
            self.refusal = ""
            self.report_change(True)


def note_refusal(logged: Seldom, error: str) -> None:
    """Any client can cause it."""
    if logged.due():
        _log.error("Redis refuses a subscription (%s); whoever asks for it is told so", error)
