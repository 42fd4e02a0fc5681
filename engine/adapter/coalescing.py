"""What clients join and leave in one turn of the loop, made into what Redis has to be asked for at its end.

A channel that was joined and left again, or left and joined, costs no command. Knows topics only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

_log = logging.getLogger(__name__)

#: Called with whether the subscription is live.
Done = Callable[[bool], None]


class Subscriber(Protocol):
    """What asks Redis. Both cost nothing where the topic is as it should be already."""

    def subscribe(self, topic: bytes, done: Done | None = None) -> None: ...

    def unsubscribe(self, topic: bytes) -> None: ...


class CoalescingSubscriber:
    """A subscriber in front of another one, which hears of each topic once a turn at most."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber
        self._joined: dict[bytes, list[Done]] = {}
        self._left: dict[bytes, None] = {}
        self._due = False

    def subscribe(self, topic: bytes, done: Done) -> None:
        """`done` is called in a later turn, unless the topic is left before this one ends."""
        self._left.pop(topic, None)
        self._joined.setdefault(topic, []).append(done)
        self._wait_for_the_end()

    def unsubscribe(self, topic: bytes) -> None:
        """Nobody here is in it any more, or waits for it."""
        self._joined.pop(topic, None)
        self._left[topic] = None
        self._wait_for_the_end()

    def _wait_for_the_end(self) -> None:
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._due = False
        joined, self._joined = self._joined, {}
        left, self._left = self._left, {}
        for topic in left:
            self._subscriber.unsubscribe(topic)
        for topic, waiting in joined.items():
            for done in waiting:
                try:
                    self._subscriber.subscribe(topic, done)
                except Exception:  # noqa: BLE001 (a fault in what one client waits for: the others wait too)
                    _log.exception("somebody who joined a channel could not be told")
