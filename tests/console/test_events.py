"""The stream of events of several workers, over their sockets, and events that are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.console import events as module
from engine.console.events import Events
from engine.console.known_apps import KnownApps
from engine.console.workers import Workers
from engine.control import CONSOLE_SOCKETS
from engine.errors import ApiError, StoreUnavailable
from engine.tap.tap import Tap
from engine.worker.console_link import ConsoleLink
from tests.config.support import apps, loaded
from tests.support.waiting import until


class Node:
    """Two workers."""

    def __init__(self, directory: Path) -> None:
        self.taps = [Tap(), Tap()]
        self.published: list[dict[str, Any]] = []
        self.links = [
            ConsoleLink(directory / CONSOLE_SOCKETS.format(place), {"publish": self._publish}, tap)
            for place, tap in enumerate(self.taps)
        ]
        self.events = Events(KnownApps(loaded(apps({"id": "1", "key": "k"})).config), Workers(directory))

    async def _publish(self, asked: dict[str, Any]) -> dict[str, Any]:
        self.published.append(asked)
        return {}


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(module, "PIECE_S", 0.001)
    monkeypatch.setattr(module, "LOOK_S", 0.0)
    made = Node(tmp_path)
    async with AsyncExitStack() as stack:
        for link in made.links:
            await link.start()
            stack.push_async_callback(link.stop)
        yield made


async def told(stream: AsyncIterator[bytes], kind: str) -> dict[str, Any]:
    """The next one of a kind; those before it are passed over."""
    async for piece in stream:
        for event in orjson.loads(piece):
            if event["kind"] == kind:
                return dict(event)
    raise AssertionError("the stream has ended")


async def test_workers_tell_while_somebody_looks_and_never_otherwise(node: Node) -> None:
    stream = node.events.listen({"app": "1"})
    while (await told(stream, "watching"))["workers"] != 2:
        pass
    assert [tap.active for tap in node.taps] == [True, True]
    node.taps[1].note("subscribed", "1", channel="room")
    assert (await told(stream, "subscribed"))["channel"] == "room"
    node.taps[0].note("published", "2", channel="another application's")
    node.taps[0].note("published", "1", channel="mine")
    assert (await told(stream, "published"))["channel"] == "mine"
    await stream.aclose()  # type: ignore[attr-defined]
    await until(lambda: not any(tap.active for tap in node.taps))


async def test_a_worker_that_ends_and_its_successor_are_noticed(node: Node) -> None:
    stream = node.events.listen({"app": "1"})
    while (await told(stream, "watching"))["workers"] != 2:
        pass
    await node.links[0].stop()
    while (await told(stream, "watching"))["workers"] != 1:
        pass
    await node.links[0].start()
    while (await told(stream, "watching"))["workers"] != 2:
        pass
    node.taps[0].note("connected", "1")
    await told(stream, "connected")
    await stream.aclose()  # type: ignore[attr-defined]


async def test_what_the_browser_does_not_take_is_dropped_and_counted(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = node.events.listen({"app": "1"})
    while (await told(stream, "watching"))["workers"] != 2:
        pass
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    for tap in node.taps:
        for n in range(5):
            tap.note("published", "1", n=n)
    assert (await told(stream, "dropped"))["number"] >= 2
    await stream.aclose()  # type: ignore[attr-defined]


async def test_an_event_goes_to_one_worker(node: Node) -> None:
    made = {"app": "1", "channel": "room", "event": "hello", "data": "{}"}
    assert await node.events.publish(made) == {}
    (asked,) = node.published
    assert (asked["app"], asked["channels"], asked["event"], asked["data"]) == ("1", ["room"], "hello", "{}")
    for wrong in ({"app": "2"}, {"channel": None}, {"event": 1}, {"data": {}}):
        with pytest.raises(ApiError):
            await node.events.publish(made | wrong)
    assert len(node.published) == 1


async def test_an_event_that_may_be_out_is_not_made_again(node: Node, tmp_path: Path) -> None:
    """The first worker asked ends before it answers."""
    await node.links[0].stop()
    path = tmp_path / CONSOLE_SOCKETS.format(0)
    path.unlink(missing_ok=True)

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    async with await asyncio.start_unix_server(end, str(path)):
        with pytest.raises(StoreUnavailable, match="may be done"):
            await node.events.publish({"app": "1", "channel": "room", "event": "hello", "data": "{}"})
    assert node.published == []


def test_only_so_many_workers_of_other_nodes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ELSEWHERE", 1)
    stream = module._Stream("1")
    for life in ("a", "b", "a"):
        stream.hear({"life": life, "slot": 0, "node": f"{life}:1", "events": [{"time_ms": 1, "kind": life}]})
    watching, *events = stream.take()
    assert (watching["elsewhere"], [event["node"] for event in events]) == (1, ["a:1", "a:1"])
