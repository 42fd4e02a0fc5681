"""`python -m engine trace` through a cluster: two nodes that share a Redis, one of which is asked."""

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
from tests.support.client import connected
from tests.support.engine import Engine, running
from tests.support.waiting import until


@pytest.fixture
def nodes(redis_url: str) -> Iterator[tuple[Engine, Engine]]:
    unique_prefix = f"trace-{uuid4().hex}"
    config = {
        "database": {"redis": {"url": redis_url, "key_prefix": f"{unique_prefix}:"}},
        "adapter": {"redis": {"prefix": f"{unique_prefix}#"}},
    }
    with ExitStack() as stack:
        one, other = (stack.enter_context(running(config, 1)) for _ in range(2))
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
