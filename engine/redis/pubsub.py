"""The subscriber connection: topics come and go with this worker's subscribers, and are kept over reconnects."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import hiredis

from engine.config.redis import RedisOptions
from engine.redis.client import RedisLink

#: Topics per SUBSCRIBE when all are renewed after a reconnect, so that no command grows without bound.
RENEW_AT_ONCE = 500

_log = logging.getLogger(__name__)


class _Topic:
    """One topic: confirmations still due, and who waits for them."""

    __slots__ = ("outstanding", "waiting", "wanted")

    def __init__(self) -> None:
        self.wanted = True
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
        self._topics: dict[bytes, _Topic] = {}

    def subscribe(self, topic: bytes, done: Callable[[], None] | None = None) -> None:
        """`done` is called once Redis has confirmed; at once if it had. Without a connection it waits for the next."""
        entry = self._topics.get(topic)
        if entry is None:
            entry = self._topics[topic] = _Topic()
        elif entry.wanted and not entry.outstanding and self.connected:
            if done is not None:
                done()
            return
        if not entry.wanted or not entry.outstanding:
            entry.wanted = True
            if self.connected:
                entry.outstanding += 1
                self.send(b"SUBSCRIBE", topic)
        if done is not None:
            entry.waiting.append(done)

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

    def on_lost(self) -> None:
        for entry in self._topics.values():
            entry.outstanding = 0

    def on_reply(self, reply: Any) -> None:
        match reply:
            case [b"message", bytes(topic), bytes(message)]:
                self._on_message(topic, message)
            case [b"subscribe", bytes(topic), _]:
                self._on_confirmed(topic)
            case [b"unsubscribe", _, _] | [b"pong", _] | b"PONG":
                return
            case hiredis.ReplyError():
                # Refused (say NOPERM): whoever waits keeps waiting, the log says why.
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
