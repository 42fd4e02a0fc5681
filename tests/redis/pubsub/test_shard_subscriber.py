"""When a topic of a Redis Cluster counts as subscribed, on a real cluster whose replies are looked at one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import hiredis
import pytest

from engine.redis.pubsub.shard_subscriber import ShardSubscriber
from engine.redis.pubsub.topology import Topology
from tests.support.valkey_cluster import ValkeyCluster
from tests.support.waiting import until


class Read:
    """Reads the replies of one connection, as they are, and notes those about topics as they are passed on."""

    def __init__(self, noted: list[tuple[str, str]]) -> None:
        self._reader = hiredis.Reader()
        self._noted = noted

    def feed(self, data: bytes, /) -> None:
        self._reader.feed(data)

    def gets(self) -> Any:
        reply = self._reader.gets()
        match reply:
            case [bytes(word), bytes(topic), _] if word in (b"ssubscribe", b"sunsubscribe"):
                self._noted.append((word.decode(), topic.decode()))
        return reply


@pytest.fixture
def noted() -> list[tuple[str, str]]:
    """All that was read about topics, and what those who subscribed were told meanwhile."""
    return []


@pytest.fixture
async def subscriber(redis_cluster: ValkeyCluster, noted: list[tuple[str, str]]) -> AsyncIterator[ShardSubscriber]:
    options = redis_cluster.redis_options()
    # No slot is moved here.
    topology = Topology(options, lambda moved: None)
    made = ShardSubscriber(
        options, topology, lambda topic, message: None, lambda renewed: None, make_reader=lambda: Read(noted)
    )
    await topology.start()
    await made.start()
    yield made
    await made.stop()
    await topology.stop()


@pytest.mark.parametrize("times", [1, 3])
async def test_only_the_reply_to_the_last_subscription_confirms_a_topic(
    subscriber: ShardSubscriber, noted: list[tuple[str, str]], times: int
) -> None:
    """Between two of them the topic is left: who is told by the first reply would hear nothing until the last."""
    subscriber.subscribe(b"room", lambda live: noted.append(("told", f"first, {live}")))
    for _ in range(times):
        subscriber.unsubscribe(b"room")
        subscriber.subscribe(b"room", lambda live: noted.append(("told", f"last, {live}")))
    await until(lambda: ("told", "last, True") in noted)
    assert noted == [
        ("ssubscribe", "room"),
        *[("sunsubscribe", "room"), ("ssubscribe", "room")] * times,
        ("told", "last, True"),
    ]
    # From here on it is as any other: one that comes later is told at once.
    subscriber.subscribe(b"room", lambda live: noted.append(("told", f"later, {live}")))
    assert noted[-1] == ("told", "later, True")
