"""What the console hears from the supervisor."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest

from engine.console import node as module
from engine.console.node import NodeLink
from engine.control import NodeState, WorkerSpec, WorkerState, seal, send_spec, send_state
from engine.errors import StoreUnavailable
from tests.config.support import loaded
from tests.support.waiting import until

WORKER = WorkerState(0, 0, 42, "abc", True, 0, 7, "", 0.1, 12.5)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


class Heard:
    def __init__(self, control: socket.socket) -> None:
        self.specs: list[WorkerSpec] = []
        self.ended = 0
        self.link = NodeLink(control, self.specs.append, self._end)
        self.link.start()

    def _end(self) -> None:
        self.ended += 1


async def test_it_asks_specs_come_and_the_end_is_noticed(pair: tuple[socket.socket, socket.socket]) -> None:
    supervisor, control = pair
    heard = Heard(control)
    state = NodeState("worker 1 does not answer", 2, (WORKER,))
    send_state(supervisor, state)  # the answer to a question that was given up says nothing
    asked = [heard.link.state(), heard.link.state()]
    waiting = asyncio.gather(*asked)
    await until(lambda: _said(supervisor))
    send_state(supervisor, state)
    assert await waiting == [state, state]

    spec = WorkerSpec(loaded(), None, 2, "/nowhere")
    fd = seal(spec)
    assert send_spec(supervisor, 2, fd)
    os.close(fd)
    await until(lambda: heard.specs)
    assert heard.specs[0].metrics_dir == "/nowhere"
    supervisor.close()
    await until(lambda: heard.ended)
    heard.link.stop()
    assert heard.ended == 1


async def test_a_supervisor_that_says_nothing_is_not_waited_for_long(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_S", 0.01)
    heard = Heard(pair[1])
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await heard.link.state()
    # And is asked again by the next who looks.
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await heard.link.state()
    assert [pair[0].recv(10), pair[0].recv(10)] == [b"?", b"?"]
    heard.link.stop()


@pytest.mark.parametrize(
    "nonsense", [b"{", b"{}", b'{"workers":[{}],"trouble":"","slots":1}', b"x" * 12, b"{" * 200_000]
)
async def test_what_no_supervisor_says_ends_it(pair: tuple[socket.socket, socket.socket], nonsense: bytes) -> None:
    heard = Heard(pair[1])
    pair[0].send(nonsense)
    await until(lambda: heard.ended)
    heard.link.stop()


def _said(supervisor: socket.socket) -> bytes:
    supervisor.setblocking(False)
    try:
        return supervisor.recv(16)
    except BlockingIOError:
        return b""
