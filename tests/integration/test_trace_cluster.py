"""`python -m engine trace` and the console through a cluster: two nodes that share a Redis, one of which is asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from engine.cli.other_nodes import elsewhere
from engine.cli.trace import followed, read
from engine.config.loading.load import load
from engine.trace.follow import Follow
from engine.trace.lines import Line
from tests.integration.test_console import PASSWORD, Console, answers, events_of
from tests.support.client import connected
from tests.support.engine import Engine, running
from tests.support.waiting import free_port, until, wait_until


@pytest.fixture(scope="module")
def nodes(redis_url: str) -> Iterator[tuple[Engine, Engine]]:
    unique_prefix = f"trace-{uuid4().hex}"
    config = {
        "database": {"redis": {"url": redis_url, "key_prefix": f"{unique_prefix}:"}},
        "adapter": {"redis": {"prefix": f"{unique_prefix}#"}},
    }
    with ExitStack() as stack:
        one = stack.enter_context(running(config | {"console": {"port": free_port(), "password": PASSWORD}}, 1))
        other = stack.enter_context(running(config, 1))
        wait_until(lambda: answers(one), what="the console answers")
        yield one, other


def test_a_publish_at_one_node_is_followed_to_a_socket_of_the_other(nodes: tuple[Engine, Engine]) -> None:
    asyncio.run(_follow(*nodes))


async def _follow(one: Engine, other: Engine) -> None:
    lines: list[Line] = []
    over = threading.Event()

    def listen() -> None:
        config = load(one.config_path, {}, 1).config
        with (
            elsewhere(config, Follow(channel="room")) as (follow, join),
            followed(config, follow, join) as (status, heard),
        ):
            assert status == 0
            while not over.is_set():
                lines.extend(read(heard, 0.02))

    def told(stage: str, *, here: bool) -> list[Line]:
        return [line for line in lines if line.stage == stage and (line.node == "") == here]

    async with connected(other.ws_url) as client:
        await client.subscribe("room")
        listening = asyncio.create_task(asyncio.to_thread(listen))
        try:
            await until(lambda: told("state", here=True) and told("state", here=False), what=lambda: lines)
            await asyncio.to_thread(one.trigger, "room", "hello", '{"hidden":"payload"}')
            await until(lambda: told("written", here=False), what=lambda: lines)
        finally:
            over.set()
            await listening
    assert told("received", here=True) and told("sent", here=True)
    (written,) = told("written", here=False)
    assert written.text == f"app 1: hello of room to 1 socket of this worker: {client.socket_id}"
    assert {line.node.rpartition(":")[2] for line in lines} == {"", str(other.port)}
    assert "payload" not in str(lines)


def test_the_console_of_one_node_shows_the_other_too(nodes: tuple[Engine, Engine]) -> None:
    asyncio.run(_look(*nodes))


async def _look(one: Engine, other: Engine) -> None:
    console = await asyncio.to_thread(Console, one)

    def connections() -> dict[str, int]:
        """Of each node, by its port."""
        return {node["name"].rpartition(":")[2]: node["connections"] for node in console.look()["nodes"]}

    async with connected(other.ws_url) as client, events_of(console) as seen:
        await client.subscribe("seen-there")
        await until(lambda: any(event.get("elsewhere") == 1 for event in seen), what=lambda: seen)
        for name in ("first", "second"):
            await asyncio.to_thread(other.trigger, "seen-there", name)
        await until(lambda: any(event.get("event") == "second" for event in seen), what=lambda: seen)
        assert [event["event"] for event in seen if event["kind"] == "published"] == ["first", "second"]
        assert {event["node"].rpartition(":")[2] for event in seen if "node" in event} == {str(other.port)}
        expected = {str(other.port): 1, str(one.port): 0}
        await until(lambda: asyncio.to_thread(lambda: connections() == expected))
