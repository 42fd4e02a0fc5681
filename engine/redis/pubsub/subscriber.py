"""The subscriber connection: topics come and go with this worker's subscribers, and are kept over reconnects.

Looks into no message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import hiredis

from engine.config.redis import RedisOptions
from engine.redis.pubsub.link import RedisLink

#: Topics per SUBSCRIBE when all are renewed after a reconnect, so that no command grows without bound.
RENEW_AT_ONCE = 500
RENEWED, SETTLED = b"renewed", b"settled"

_log = logging.getLogger(__name__)


class Topic:
    """One topic: confirmations still due, and who waits for them."""

    __slots__ = ("outstanding", "waiting", "wanted")

    def __init__(self) -> None:
        self.wanted = False
        # SUBSCRIBE commands not yet confirmed: only the last confirmation counts, since an UNSUBSCRIBE may have
        # been sent between two of them.
        self.outstanding = 0
        self.waiting: list[Callable[[], None]] = []


class SubscribeLink(RedisLink):
    """SUBSCRIBE and UNSUBSCRIBE, and what is published in between.

    :param on_message: called with (topic, message).
    """

    def __init__(
        self,
        options: RedisOptions,
        name: str,
        on_message: Callable[[bytes, bytes], None],
        on_change: Callable[[bool], None] | None = None,
    ) -> None:
        super().__init__(options, name, on_change)
        self._on_message = on_message
        self._topics: dict[bytes, Topic] = {}
        #: Connected, and subscribed again to everything of before.
        self.renewed = False
        self._settled = asyncio.Event()

    def subscribe(self, topic: bytes, done: Callable[[], None] | None = None) -> None:
        """`done` is called once Redis has confirmed; at once if it had, or if there is no connection: then this worker
        serves alone, and subscribes when Redis is back."""
        entry = self._topics.get(topic)
        if entry is None:
            entry = self._topics[topic] = Topic()
        if not self.connected:
            entry.wanted = True
        elif not entry.wanted:
            entry.wanted = True
            entry.outstanding += 1
            self.send(b"SUBSCRIBE", topic)
        if done is not None:
            if entry.outstanding:
                entry.waiting.append(done)
            else:
                done()

    def unsubscribe(self, topic: bytes) -> None:
        entry = self._topics.get(topic)
        if entry is None or not entry.wanted:
            return
        entry.wanted = False
        entry.waiting.clear()
        if self.connected:
            self.send(b"UNSUBSCRIBE", topic)
        if not entry.outstanding:
            del self._topics[topic]

    async def settle(self, timeout_s: float) -> None:
        """Return when everything published before this call has been passed on, or when that cannot be known."""
        if not self.connected:
            return
        self._settled = asyncio.Event()
        self.send(b"PING", SETTLED)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), timeout_s)

    def on_connected(self) -> None:
        topics = []
        for topic, entry in list(self._topics.items()):
            if entry.wanted:
                entry.outstanding = 1
                topics.append(topic)
            else:
                del self._topics[topic]
        for at in range(0, len(topics), RENEW_AT_ONCE):
            self.send(b"SUBSCRIBE", *topics[at : at + RENEW_AT_ONCE])
        self.send(b"PING", RENEWED)

    def on_lost(self) -> None:
        self.renewed = False
        waiting = []
        for entry in self._topics.values():
            entry.outstanding = 0
            waiting += entry.waiting
            entry.waiting = []
        for done in waiting:
            done()

    def on_reply(self, reply: Any) -> None:
        match reply:
            case [b"message", bytes(topic), bytes(message)]:
                self._on_message(topic, message)
            case [b"subscribe", bytes(topic), _]:
                self._on_confirmed(topic)
            case [b"pong", bytes(text)] | bytes(text) if text == RENEWED:
                # Replies come in order: every subscription of before is in force again.
                self.renewed = True
                self.report_change(True)
            case [b"pong", bytes(text)] | bytes(text) if text == SETTLED:
                self._settled.set()
            case [b"unsubscribe", _, _] | [b"pong", _] | b"PONG":
                return
            case hiredis.ReplyError():
                # Refused (NOPERM, for example): the subscription stays pending, the log says why.
                _log.error("Redis refused a subscription: %s", reply)
            case _:
                _log.error("Redis sent something unexpected on the subscriber connection")

    def _on_confirmed(self, topic: bytes) -> None:
        entry = self._topics.get(topic)
        if entry is None or not entry.outstanding:
            return
        entry.outstanding -= 1
        if entry.outstanding:
            return
        if not entry.wanted:
            del self._topics[topic]
            return
        waiting, entry.waiting = entry.waiting, []
        for done in waiting:
            done()
