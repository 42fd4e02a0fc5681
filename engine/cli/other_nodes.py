"""`python -m engine trace` at the other nodes of the cluster: asked over the Redis that all of them share.

Only where the configuration names a Redis, of whatever kind. What is not read in time is lost, not kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread

from engine.cli.text import complain
from engine.config.resolve import redis_options
from engine.config.root import Config
from engine.trace.follow import TRACE, Follow

#: Between two looks at whether it is over.
LOOK_S = 0.2
#: For Redis to answer.
TIMEOUT_S = 3.0

Join = Callable[[socket.socket], None]


@contextmanager
def elsewhere(config: Config, follow: Follow) -> Iterator[tuple[Follow, Join]]:
    """What is to be followed, with an id where other nodes are asked, and what asks them; see `trace.followed`."""
    options = redis_options(config.database.redis)
    if options is None or config.adapter.driver not in (None, "redis"):
        yield follow, lambda _: None
        return
    # Imported only where there is a Redis.
    from redis.exceptions import RedisError

    from engine.redis.pool import blocking

    asked = dataclasses.replace(follow, id=secrets.token_hex(16))
    topic = options.beside_occupancy(config.adapter.redis.prefix).encode() + TRACE
    # In a cluster only the shard of the topic's slot carries it.
    subscribe, get, publish = (
        ("ssubscribe", "get_sharded_message", "spublish") if options.nodes else ("subscribe", "get_message", "publish")
    )
    over = False
    threads: list[Thread] = []

    def join(lines: socket.socket) -> None:
        ours = lines.dup()
        threads.append(Thread(target=listen, args=(ours,), daemon=True))
        threads[0].start()

    def listen(lines: socket.socket) -> None:
        lines.setblocking(False)
        ends_at = time.monotonic() + asked.seconds
        try:
            with lines, blocking(options, TIMEOUT_S) as client, client.pubsub(ignore_subscribe_messages=True) as heard:  # type: ignore[no-untyped-call]
                getattr(heard, subscribe)(topic + b":" + asked.id.encode())
                # The answer to the subscription: from here on nothing is missed.
                getattr(heard, get)(timeout=TIMEOUT_S)
                getattr(client, publish)(topic, asked.encode())
                while not over and time.monotonic() < ends_at:
                    message = getattr(heard, get)(timeout=LOOK_S)
                    if message is not None:
                        with contextlib.suppress(BlockingIOError):
                            lines.send(message["data"])
        except RedisError as error:
            complain(f"other nodes are not followed: {error}")
        except OSError:
            return  # the command has ended

    try:
        yield asked, join
    finally:
        over = True
        for thread in threads:
            thread.join()
