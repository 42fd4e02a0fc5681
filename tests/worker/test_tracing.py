"""Taps are there while somebody listens and gone afterwards, and a whole worker goes on through it unchanged."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from benchmarks.micro.worker import Worker, publish_request, subscribe, worker
from engine.errors import StoreUnavailable
from engine.interfaces import Message
from engine.trace.follow import Fact, Follow
from engine.trace.lines import Line, decode
from engine.worker import tracing as module
from engine.worker.tracing import MAX_TRACES, Taps, Tracing
from engine.ws.state import ConnectionState
from tests.support.waiting import until


class Listener:
    """The command's end."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.ours.setblocking(False)
        self.ended = False

    def read(self) -> list[Line]:
        found = []
        while not self.ended:
            try:
                datagram = self.ours.recv(65536)
            except BlockingIOError:
                break
            self.ended = not datagram
            if datagram:
                found.append(decode(datagram))
        return found

    def texts(self) -> list[str]:
        return [f"{line.stage} {line.text}" for line in self.read()]


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    with made.ours, made.theirs:
        yield made


@pytest.fixture(scope="module")
def made() -> Iterator[Worker]:
    with worker() as found:
        found.parts.health.clear("worker")
        subscribe(found.parts.hub, "room", 2)
        for connection in found.parts.hub.connections():
            connection.state = ConnectionState()
        yield found


class Owner:
    def call(self, number: int) -> int:
        return number + 1


def tracing(owner: Owner) -> Tracing:
    def place(taps: Taps, found: Tracing) -> None:
        def around(call: Any) -> Any:
            def tap(number: int) -> Any:
                found.note("called", str(number), Fact("1", ("a",)))
                return call(number)

            return tap

        taps.place(owner, "call", around)

    return Tracing(0, place, lambda follow: [("state", follow.channel)])


async def test_taps_come_and_go(listener: Listener) -> None:
    owner = Owner()
    found = tracing(owner)
    assert not vars(owner)
    found.begin(Follow("a"), listener.theirs)
    assert owner.call(1) == 2
    assert listener.texts() == ["state a", "called 1"]
    await found.stop()
    assert not vars(owner)
    assert owner.call(2) == 3
    assert listener.texts() == [] and listener.ended


async def test_it_ends_by_itself(listener: Listener) -> None:
    owner = Owner()
    found = tracing(owner)
    loop = asyncio.get_running_loop()
    calls: list[Any] = []
    later, loop.call_later = loop.call_later, lambda *given: calls.append(given) or later(3600, lambda: None)  # type: ignore
    try:
        found.begin(Follow("a", seconds=7), listener.theirs)
    finally:
        loop.call_later = later  # type: ignore[method-assign]
    ((seconds, end, *given),) = calls
    assert seconds == 7
    end(*given)
    assert not vars(owner) and len(found) == 0
    listener.read()
    assert listener.ended


async def test_who_has_gone_is_told_no_more(listener: Listener) -> None:
    owner = Owner()
    found = tracing(owner)
    found.begin(Follow("a"), listener.theirs)
    listener.ours.close()
    assert owner.call(1) == 2
    assert not vars(owner) and len(found) == 0


async def test_who_goes_while_nothing_happens_is_noticed_too(listener: Listener) -> None:
    owner = Owner()
    found = tracing(owner)
    found.begin(Follow("a"), listener.theirs)
    listener.ours.close()
    await until(lambda: not vars(owner))
    assert len(found) == 0


async def test_not_too_many_at_once() -> None:
    found = tracing(Owner())
    listeners = [Listener() for _ in range(MAX_TRACES + 1)]
    for each in listeners:
        found.begin(Follow("a"), each.theirs)
    assert listeners[-1].texts() == [f"refused {MAX_TRACES} traces are under way already"]
    assert listeners[-1].ended
    await found.stop()
    for each in listeners:
        each.ours.close()


def followed(made: Worker, listener: Listener, follow: Follow, *events: str) -> list[str]:
    """Publish events to `room` while it is followed."""
    tracing = made.parts.tracing

    async def begin() -> None:
        tracing.begin(follow, listener.theirs)

    made.loop.run_until_complete(begin())
    for _ in events:
        made.serve(publish_request("room"), 1)
    # These subscribers were put there; no worker has counted them.
    found = [text for text in listener.texts() if "no worker counts" not in text]
    made.loop.run_until_complete(tracing.stop())
    return found


def test_a_worker_alone_tells_of_what_c_would_publish(made: Worker, listener: Listener) -> None:
    parts = made.parts
    plain = parts.listener.main._publishes.plain  # type: ignore[union-attr]
    assert plain is not None
    found = followed(made, listener, Follow("room"), "tick")
    assert found == [
        "state app app-id: 2 sockets of this worker in room: 1.0, 1.1",
        "received app app-id: tick to room",
        "written app app-id: tick of room to 2 sockets of this worker: 1.0, 1.1",
        "sent app app-id: tick of room to all workers that have subscribers",
    ]
    # Afterwards everything is as it was.
    assert parts.listener.main._publishes.plain is plain  # type: ignore[union-attr]
    for owner in (parts.adapter, parts._publisher, parts._api, parts.handlers, parts._subscriptions, parts._refusal):
        assert not [name for name in vars(owner) if callable(getattr(type(owner), name, None))]


def test_what_was_sent_to_nobody(made: Worker, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    async def publish(messages: Sequence[Message]) -> None:
        raise StoreUnavailable("Redis is away")

    monkeypatch.setattr(made.parts.adapter, "publish", publish)
    found = followed(made, listener, Follow(event="tick"), "tick")
    assert "dropped app app-id: tick of room was sent to nobody: Redis is away" in found
    assert found[-1] == (
        "refused POST /apps/app-id/events: 503 Shared state cannot be reached now. (its channel is not known)"
    )


def test_others_are_not_told_of(made: Worker, listener: Listener) -> None:
    found = followed(made, listener, Follow("hall"), "tick")
    assert found == ["state nobody on this worker is in hall"]


def test_a_fault_in_telling_harms_nobody(made: Worker, listener: Listener, caplog: pytest.LogCaptureFixture) -> None:
    connection = made.parts.hub.get("1.0")
    state, connection.state = connection.state, None
    try:
        found = followed(made, listener, Follow(event="tick"), "tick")
    finally:
        connection.state = state
    assert "a line of a trace could not be made" in caplog.text
    assert [line.partition(" ")[0] for line in found] == ["state", "received", "sent"]


async def test_only_so_many_questions_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUESTIONS", 2)
    tracing = Tracing(0, lambda *_: None, lambda _: [])
    asked = 0

    async def question() -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    for _ in range(5):
        tracing.ask(question)
    await until(lambda: asked == 2)
    await tracing.stop()
    tracing.ask(question)
    await until(lambda: asked == 3)
    await tracing.stop()
