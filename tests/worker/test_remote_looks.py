"""What consoles of other nodes ask of a worker, without a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.metrics.metrics import Metrics
from engine.metrics.values import MappedValues
from engine.tap.question import EVENTS, FIGURES, Question
from engine.tap.tap import Tap
from engine.worker import remote_looks as module
from engine.worker.remote_looks import MAX_DATA, MAX_LOOKS, RemoteLooks
from tests.support.waiting import until

ID = "0123456789abcdef" * 2


class Node:
    """Two workers, and the topic that a console hears."""

    def __init__(self, directory: Path) -> None:
        self.taps = [Tap(), Tap()]
        self.values = [MappedValues(directory, slot) for slot in (0, 1)]
        self.metrics = [Metrics(values) for values in self.values]
        self.looks = [
            RemoteLooks(self._publish, "p#", "host:1", tap, directory, slot) for slot, tap in enumerate(self.taps)
        ]
        self.told: list[dict[str, Any]] = []
        self.hearers = 1

    async def _publish(self, topic: bytes, message: bytes) -> int:
        assert topic == b"p#console:" + ID.encode()
        self.told.append(orjson.loads(message))
        return self.hearers

    def ask(self, question: Question) -> None:
        for looks in self.looks:
            looks.begin(question.encode())

    def events(self) -> list[dict[str, Any]]:
        return [event for told in self.told for event in told.get("events", ())]


@pytest.fixture
async def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Node]:
    monkeypatch.setattr(module, "PIECE_S", 0.001)
    made = Node(tmp_path)
    yield made
    for looks in made.looks:
        await looks.stop()
    for values in made.values:
        values.close()


def events(look: int = 1, per_second: int = 100) -> Question:
    return Question(EVENTS, ID, "another", look=look, app="1", per_second=per_second)


async def test_of_a_node_one_worker_answers_each_in_its_turn(node: Node) -> None:
    for metrics in node.metrics:
        metrics.connections.open.set(3, "1")
        metrics.flush()
    for number in (4, 5):
        node.ask(Question(FIGURES, ID, "another", number=number))
        await until(lambda number=number: node.told and node.told[-1]["number"] == number)  # type: ignore[misc]
    assert [told["slot"] for told in node.told] == [0, 1]
    assert node.told[0]["figures"]["sums"]["connected"] == 6
    assert node.told[0]["node"] == "host:1"


async def test_figures_are_read_no_more_often_than_they_are_worth(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SHARE", 1e-9)
    for number in (0, 2, 4):
        node.ask(Question(FIGURES, ID, "another", number=number))
        await until(lambda: node.told)
    assert [told["number"] for told in node.told] == [0]


async def test_its_own_console_asks_another_way(node: Node, tmp_path: Path) -> None:
    node.ask(Question(EVENTS, ID, tmp_path.name, look=1, app="1", per_second=1))
    assert not any(tap.active for tap in node.taps)


async def test_what_happens_is_told_cut_and_counted(node: Node) -> None:
    node.ask(events(per_second=2))
    assert all(tap.active for tap in node.taps)
    await until(lambda: sorted(told["slot"] for told in node.told) == [0, 1])
    node.taps[1].note("published", "2", data="of another application")
    for _ in range(50):
        node.taps[1].note("published", "1", channel="room", data="x" * (MAX_DATA + 1))
    await until(lambda: any(event["kind"] == "dropped" for event in node.events()))
    shown = [event for event in node.events() if event["kind"] == "published"]
    assert {(event["channel"], len(event["data"]), event["data_length"]) for event in shown} == {
        ("room", MAX_DATA, MAX_DATA + 1)
    }
    assert len(shown) + sum(event.get("number", 0) for event in node.events()) == 50


async def test_asked_again_it_says_that_it_is_there_and_begins_nothing_new(node: Node) -> None:
    for n in (1, 2, 3):
        node.ask(events())
        await until(lambda n=n: len(node.told) == 2 * n)  # type: ignore[misc]
    node.taps[0].note("connected", "1")
    await until(node.events)
    await asyncio.sleep(0)
    assert len(node.events()) == 1


async def test_it_ends_when_nobody_hears_it_and_when_nobody_asks(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_S", 0.01)
    node.ask(events())
    await until(lambda: not any(tap.active for tap in node.taps))
    monkeypatch.setattr(module, "LEASE_S", 60.0)
    node.hearers = 0
    node.ask(events())
    for tap in node.taps:
        assert tap.active
        tap.note("connected", "1")
    await until(lambda: not any(tap.active for tap in node.taps))


async def test_a_redis_that_fails_ends_it(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(topic: bytes, message: bytes) -> int:
        raise ConnectionResetError

    looks = RemoteLooks(fail, "p#", "host:1", node.taps[0], Path("/nowhere"), 0)
    looks.begin(events().encode())
    node.taps[0].note("connected", "1")
    await until(lambda: not node.taps[0].active)


async def test_pages_that_look_are_limited_and_told_so(node: Node) -> None:
    for look in range(MAX_LOOKS + 1):
        node.ask(events(look))
    await until(lambda: sum("full" in told for told in node.told) == 2)
    assert {told["look"] for told in node.told if "full" in told} == {MAX_LOOKS}


@pytest.mark.parametrize("request_", [b"{", b"{}", b"{" * 10_000])
async def test_what_is_no_question_begins_nothing(node: Node, request_: bytes) -> None:
    node.looks[0].begin(request_)
    assert not node.taps[0].active and not node.told
