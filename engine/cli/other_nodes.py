"""`python -m engine trace` at the other nodes of the cluster: asked over the Redis that all of them share.

Only where the configuration names a Redis, of whatever kind. What is not read in time is counted, not kept.
"""

from __future__ import annotations

import dataclasses
import math
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from engine.cli.text import complain
from engine.config.redis import RedisOptions
from engine.config.resolve import redis_options
from engine.config.root import Config
from engine.trace.follow import TRACE, Follow
from engine.trace.lines import Sender

#: Between two looks at whether it is over.
LOOK_S = 0.2
#: For Redis to answer.
TIMEOUT_S = 3.0
#: Workers are asked again after so long, for there may be new ones; those that follow it already pass it over.
ASK_AGAIN_S = 5.0
#: Between two attempts to reach Redis.
RETRY_S = 1.0

Join = Callable[[socket.socket], None]


@contextmanager
def elsewhere(config: Config, follow: Follow) -> Iterator[tuple[Follow, Join]]:
    """What is to be followed, with an id where other nodes are asked, and what asks them; see `trace.followed`."""
    options = redis_options(config.database.redis)
    if options is None or config.adapter.driver not in (None, "redis"):
        yield follow, lambda _: None
        return
    asked = dataclasses.replace(follow, id=secrets.token_hex(16))
    topic = options.beside_occupancy(config.adapter.redis.prefix).encode() + TRACE
    others = _OtherNodes(options, topic, asked)
    try:
        yield asked, others.join
    finally:
        others.leave()


class _OtherNodes:
    """Asks their workers, and passes on what they tell, in a thread."""

    def __init__(self, options: RedisOptions, topic: bytes, asked: Follow) -> None:
        self._options = options
        self._topic = topic
        self._asked = asked
        self._ends_at = time.monotonic() + asked.seconds
        self._over = Event()
        self._failed = False
        self._threads: list[Thread] = []

    def join(self, lines: socket.socket) -> None:
        """:param lines: where they go; another descriptor of it is used."""
        self._ends_at = time.monotonic() + self._asked.seconds
        self._threads.append(Thread(target=self._run, args=(Sender(lines.dup(), None),), daemon=True))
        self._threads[-1].start()

    def leave(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def _left_s(self) -> float:
        return 0.0 if self._over.is_set() else self._ends_at - time.monotonic()

    def _run(self, sender: Sender) -> None:
        # Imported only where there is a Redis.
        from redis.exceptions import RedisError

        from engine.redis.pool import blocking

        while self._left_s > 0 and not sender.gone:
            try:
                with (
                    blocking(self._options, TIMEOUT_S) as client,
                    client.pubsub(ignore_subscribe_messages=True) as heard,  # type: ignore[no-untyped-call]
                ):
                    self._pass_on(client, heard, sender)
            except (RedisError, OSError) as error:
                if not self._failed:
                    complain(f"other nodes are not followed: {error}; tried again until the end")
                self._failed = True
                self._over.wait(RETRY_S)
        sender.close()

    def _pass_on(self, client: Any, heard: Any, sender: Sender) -> None:
        """Until it is over. Raises RedisError or OSError."""
        # In a cluster only the shard of the topic's slot carries it.
        subscribe, get, publish = (
            (heard.ssubscribe, heard.get_sharded_message, client.spublish)
            if self._options.nodes
            else (heard.subscribe, heard.get_message, client.publish)
        )
        subscribe(self._topic + b":" + self._asked.id.encode())
        # The answer to the subscription: from here on nothing is missed.
        get(timeout=TIMEOUT_S)
        asks_at = time.monotonic()
        while (left_s := self._left_s) > 0 and not sender.gone:
            if time.monotonic() >= asks_at:
                publish(self._topic, dataclasses.replace(self._asked, seconds=math.ceil(left_s)).encode())
                asks_at = time.monotonic() + ASK_AGAIN_S
                if self._failed:
                    complain("other nodes are followed again")
                self._failed = False
            if (message := get(timeout=LOOK_S)) is not None:
                sender.relay(message["data"])
