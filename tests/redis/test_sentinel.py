"""Which master the Sentinels name is followed, also when the old one goes on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from engine.config.redis import Node, RedisOptions
from engine.redis.pool import connect
from tests.support.valkey_cluster import Member
from tests.support.waiting import until, wait_until

NAME = "main"


class TwoMasters:
    """A Sentinel that may be told that the master is the other of two servers, which both take writes for ever."""

    def __init__(self, stack: ExitStack) -> None:
        self.servers = [Member(("--save", "")) for _ in range(2)]
        self._sentinel = Member()
        path = self._sentinel.folder / "sentinel.conf"
        path.write_text(f"sentinel monitor {NAME} 127.0.0.1 {self.servers[0].port} 1\n")
        self._sentinel.options += [str(path), "--sentinel"]
        for member in (*self.servers, self._sentinel):
            stack.callback(member.stop)
            member.start()
        for member in (*self.servers, self._sentinel):
            wait_until(lambda member=member: member.call("PING"), what="it answers")
        self.options = RedisOptions(sentinels=(Node("127.0.0.1", self._sentinel.port),), name=NAME)

    def name_the_other(self) -> None:
        self._sentinel.call("SENTINEL", "REMOVE", NAME)
        self._sentinel.call("SENTINEL", "MONITOR", NAME, "127.0.0.1", self.servers[1].port, 1)


@pytest.fixture
def two() -> Iterator[TwoMasters]:
    with ExitStack() as stack:
        yield TwoMasters(stack)


async def test_nothing_more_is_written_to_a_server_that_is_not_the_master_any_more(two: TwoMasters) -> None:
    client, (first, second) = connect(two.options), two.servers
    try:
        async with client.pipeline(transaction=False) as in_use:
            await client.set("before", 1)
            assert first.call("EXISTS", "before") == 1
            two.name_the_other()

            async def moved() -> bool:
                await client.set("after", 1)
                return second.call("EXISTS", "after") == 1

            await until(moved)
            first.call("DEL", "after")
            in_use.set("after", 2)
            await in_use.execute()
        for number in range(20):
            await client.set(f"after-{number}", 1)
        assert first.call("KEYS", "after*") == []
    finally:
        await client.aclose()
