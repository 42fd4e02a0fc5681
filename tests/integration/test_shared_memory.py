"""Workers without a configured Redis: events go through memory that they share, whatever becomes of one of them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest
import redis

from engine.adapter.shared_memory_files import ARENA_BYTES
from engine.redis.embedded import find_socket
from tests.support.client import PusherClient, connected
from tests.support.engine import Engine, running
from tests.support.waiting import until, wait_until

PUBLISHERS, EACH = 6, 20
#: Bytes of an event of which a few hundred fill the memory.
LONG = 30_000


@pytest.fixture(scope="module")
def shared() -> Iterator[Engine]:
    with running(workers=2) as started:
        yield started


@pytest.fixture
def engine(shared: Engine) -> Engine:
    """One of which tests kill and stop workers; both are there at the beginning."""
    shared.turn_page()
    wait_until(lambda: len(shared.workers()) == 2, what="two workers")
    return shared


async def on_each_worker(stack: AsyncExitStack, engine: Engine) -> dict[int, PusherClient]:
    """A client on every worker, by its pid; the kernel chooses, so it may take some attempts."""
    found: dict[int, PusherClient] = {}
    for _ in range(64):
        client = await stack.enter_async_context(connected(engine.ws_url))
        found.setdefault(engine.worker_of(client.local_port), client)
        if len(found) == len(engine.workers()):
            return found
    raise AssertionError("the kernel never chose one of the workers")


async def events(client: PusherClient, prefix: str, count: int) -> list[str]:
    """Names of the next events that begin so, in order."""
    return [(await client.take(lambda frame: frame["event"].startswith(prefix)))["event"] for _ in range(count)]


def test_all_subscribers_see_one_order_and_redis_sees_no_event() -> None:
    async def scenario(engine: Engine) -> None:
        async with AsyncExitStack() as stack:
            clients = list((await on_each_worker(stack, engine)).values())
            for client in clients:
                await client.subscribe("room")

            def publish(publisher: int) -> None:
                # Each request comes on a connection of its own, so both workers publish.
                for n in range(EACH):
                    engine.trigger("room", f"event-{publisher}-{n}")

            await asyncio.gather(*[asyncio.to_thread(publish, number) for number in range(PUBLISHERS)])
            seen = []
            for client in clients:
                seen.append(await events(client, "event-", PUBLISHERS * EACH))
            assert seen[0] == seen[1]
            for number in range(PUBLISHERS):
                mine = [name for name in seen[0] if name.startswith(f"event-{number}-")]
                assert mine == [f"event-{number}-{n}" for n in range(EACH)]

    with running(workers=2) as engine, _overheard(engine) as (client, heard):
        asyncio.run(scenario(engine))
        client.publish("sockudo_adapter:1/room", "the last")
        assert heard() == b"the last"


async def test_a_stopped_worker_holds_nobody_up_and_catches_up(engine: Engine) -> None:
    async with AsyncExitStack() as stack:
        found = await on_each_worker(stack, engine)
        (stopped, behind), (_, ahead) = found.items()
        for client in found.values():
            await client.subscribe("private-room")
        os.kill(stopped, signal.SIGSTOP)
        try:
            for n in range(50):
                await ahead.send(f"client-{n}", {}, "private-room")
            # Its answer to a ping comes after all of that was taken.
            await ahead.settle()
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert await events(behind, "client-", 50) == [f"client-{n}" for n in range(50)]


async def test_a_worker_that_was_stopped_for_too_long_counts_what_it_missed_and_serves_on(engine: Engine) -> None:
    before = missed(engine)
    async with AsyncExitStack() as stack:
        found = await on_each_worker(stack, engine)
        (stopped, behind), (_, ahead) = found.items()
        for client in found.values():
            await client.subscribe("private-room")
        # One that would be cut off for not reading is not what this is about.
        await ahead.subscribe("private-long")
        os.kill(stopped, signal.SIGSTOP)
        try:
            for _ in range(ARENA_BYTES // LONG + 10):
                await ahead.send("client-old", "x" * LONG, "private-long")
            await ahead.settle()
        finally:
            os.kill(stopped, signal.SIGCONT)
        await ahead.send("client-new", {}, "private-room")
        await behind.next("client-new")
        await until(lambda: missed(engine) >= before + 10)


def missed(engine: Engine) -> float:
    found = re.search(r"^sockudo_missed_messages_total\{.*\} (\S+)$", engine.metrics(), re.MULTILINE)
    assert found is not None
    return float(found[1])


@pytest.mark.parametrize("reloaded", [False, True], ids=["", "after-a-reload"])
async def test_the_successor_of_a_killed_worker_hears_and_is_heard(engine: Engine, reloaded: bool) -> None:
    async with AsyncExitStack() as stack:
        if reloaded:
            engine.process.send_signal(signal.SIGHUP)
            await until(lambda: "every worker follows it" in engine.log())
        before = await on_each_worker(stack, engine)
        victim, survivor = before
        await before[survivor].subscribe("private-room")
        os.kill(victim, signal.SIGKILL)
        await until(lambda: victim not in engine.workers() and len(engine.workers()) == 2)
        after = await on_each_worker(stack, engine)
        (successor,) = after.keys() - {survivor}
        await after[successor].subscribe("private-room")
        await before[survivor].send("client-hello", {}, "private-room")
        await after[successor].next("client-hello")
        await after[successor].send("client-answer", {}, "private-room")
        await before[survivor].next("client-answer")


def test_without_shared_memory_events_go_through_the_embedded_server() -> None:
    with running({"adapter": {"shared_memory": False}}, workers=2) as engine, _overheard(engine) as (_, heard):
        engine.trigger("room", "event")
        assert b'"event":"event"' in heard()


@contextmanager
def _overheard(engine: Engine) -> Iterator[tuple[redis.Redis, Callable[[], bytes]]]:
    """A client of the embedded server, and what waits for the next message there is in the channel `room`."""
    with redis.Redis(unix_socket_path=str(find_socket(engine.folder / "data"))) as client, client.pubsub() as topic:
        topic.subscribe("sockudo_adapter:1/room")
        wait_until(lambda: topic.subscribed and topic.get_message(timeout=1), what="Redis confirms")

        def heard() -> bytes:
            return bytes(wait_until(lambda: topic.get_message(timeout=1))["data"])

        yield client, heard
