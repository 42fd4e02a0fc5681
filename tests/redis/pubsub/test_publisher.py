"""The publishing connection against a server that answers when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import hiredis
import pytest

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.redis.pubsub.publisher import PublishLink
from tests.support.waiting import PATIENCE_S

ALIVE = b"*3\r\n$11\r\nunsubscribe\r\n$5\r\nalive\r\n:0\r\n"


class SlowServer:
    """Answers PUBLISH once it is let go, and until then nothing that comes later; the question for a sign of life at
    once."""

    def __init__(self, alive: bytes) -> None:
        self._alive = alive
        #: How many PUBLISH commands began in each read.
        self.publishes: list[int] = []
        self.let_go = False
        self._held: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        parser = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                self.publishes.append(data.count(b"PUBLISH"))
                parser.feed(data)
                while command := parser.gets():
                    alive = command[0] == b"UNSUBSCRIBE"
                    reply = self._alive if alive else b":%d\r\n" % len(command[2])
                    if self.let_go or (alive and not self._held):
                        writer.write(reply)
                    else:
                        self._held.append(reply)
        except ConnectionError:
            pass  # the link ends by a reset
        finally:
            writer.close()

    def release(self) -> None:
        self.let_go = True
        self._writer.write(b"".join(self._held))


@asynccontextmanager
async def slow_server(timeout_s: float, alive: bytes = ALIVE) -> AsyncIterator[tuple[SlowServer, PublishLink]]:
    with TemporaryDirectory(prefix="slow-") as folder:
        path = str(Path(folder) / "s")
        slow = SlowServer(alive)
        server = await asyncio.start_unix_server(slow.serve, path)
        link = PublishLink(RedisOptions(path=path), "publisher", timeout_s)
        await link.start()
        try:
            yield slow, link
        finally:
            await link.stop()
            server.close()
            await server.wait_closed()


async def test_publishes_of_one_loop_turn_leave_together_and_each_gets_its_own_reply() -> None:
    async with slow_server(timeout_s=5) as (slow, link):
        slow.let_go = True
        assert await asyncio.gather(*[link.publish(b"topic", b"x" * n) for n in range(50)]) == list(range(50))
        assert [count for count in slow.publishes if count] == [50]


async def test_a_publish_without_a_reply_in_time_counts_as_not_taken_and_its_late_reply_is_nobody_elses() -> None:
    async with slow_server(timeout_s=0.05) as (slow, link):
        # That takes less time than a silent connection is given.
        with pytest.raises(StoreUnavailable, match="in time"):
            await asyncio.wait_for(link.publish(b"topic", b"12345"), PATIENCE_S)
        assert link.connected
        slow.release()
        assert await asyncio.wait_for(link.publish(b"topic", b"1234567"), PATIENCE_S) == 7


async def test_a_server_that_knows_of_no_subscription_to_leave_is_alive() -> None:
    """Valkey 8.0."""
    nosub = b"-NOSUB 'unsubscribe' command executed not in subscribed mode\r\n"
    async with slow_server(timeout_s=5, alive=nosub) as (slow, link):
        slow.let_go = True
        assert link.connected
        link.ask_alive()
        assert await link.publish(b"topic", b"xyz") == 3
