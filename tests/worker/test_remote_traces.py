"""What an operator at another node asks for, and what he is told, without a Redis."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from engine.trace.follow import Follow
from engine.trace.lines import decode
from engine.worker import remote_answers as module
from engine.worker.remote_traces import RemoteTraces
from engine.worker.tracing import MAX_TRACES, Tracing
from tests.support.waiting import until

ID = "0123456789abcdef" * 2


class Cluster:
    """A worker that is asked, and the topics that somebody hears."""

    def __init__(self) -> None:
        self.tracing = Tracing(0, lambda taps, tracing: None, lambda follow: [("state", "known")])
        self.tracing.remote = RemoteTraces(self._publish, "p#", "host:1", self.tracing.begin)
        self.told: list[tuple[bytes, str, str, str]] = []
        self.hearers = 1

    async def _publish(self, topic: bytes, message: bytes) -> int:
        line = decode(message)
        self.told.append((topic, line.node, line.stage, line.text))
        return self.hearers

    def ask(self, follow: Follow) -> None:
        self.tracing.begin_elsewhere(follow.encode().encode())


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    made = Cluster()
    yield made
    await made.tracing.stop()


async def test_lines_go_to_a_topic_of_the_trace_alone(cluster: Cluster) -> None:
    cluster.ask(Follow(channel="room", id=ID))
    assert len(cluster.tracing) == 1
    await until(lambda: cluster.told == [(b"p#trace:" + ID.encode(), "host:1", "state", "known")])


async def test_it_ends_when_nobody_hears_it(cluster: Cluster) -> None:
    cluster.hearers = 0
    cluster.ask(Follow(channel="room", id=ID))
    await until(lambda: len(cluster.tracing) == 0)
    assert len(cluster.told) == 1


async def test_what_takes_a_line_for_too_long_ends_it(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(topic: bytes, message: bytes) -> int:
        await asyncio.Event().wait()
        return 1

    monkeypatch.setattr(module, "TIMEOUT_S", 0.01)
    remote = RemoteTraces(never, "p#", "host:1", cluster.tracing.begin)
    remote.begin(Follow(channel="room", id=ID).encode().encode())
    await until(lambda: len(cluster.tracing) == 0)


async def test_who_is_asked_here_and_from_elsewhere_tells_it_once(cluster: Cluster) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        cluster.ask(Follow(channel="room", id=ID))
        cluster.tracing.begin(Follow(channel="room", id=ID), theirs)
        assert len(cluster.tracing) == 1
        cluster.ask(Follow(channel="room", id=ID))
        assert len(cluster.tracing) == 1
        assert decode(ours.recv(1000)).node == ""


async def test_they_are_limited_as_those_of_this_node(cluster: Cluster) -> None:
    for number in range(MAX_TRACES + 3):
        cluster.ask(Follow(channel="room", id=f"{number:032x}"))
    assert len(cluster.tracing) == MAX_TRACES
    await until(lambda: sum(stage == "refused" for _, _, stage, _ in cluster.told) == 3)


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"\xff",
        b"x",
        b"%22" * 10_000,
        *(each.encode().encode() for each in (Follow("room"), Follow("room", id="short"), Follow(id=ID))),
    ],
)
async def test_what_is_no_request_begins_nothing(cluster: Cluster, request_: bytes) -> None:
    cluster.tracing.begin_elsewhere(request_)
    assert len(cluster.tracing) == 0
