"""The control socket: what is said arrives whole, and what nobody of ours says is refused."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from engine.control import (
    MAX_BEAT_BYTES,
    Beat,
    ControlError,
    Order,
    Phase,
    Trace,
    WorkerSpec,
    receive_beat,
    receive_word,
    seal,
    send_beat,
    send_order,
    send_spec,
    send_trace,
    unseal,
)
from engine.trace.follow import Follow
from tests.config.support import apps, loaded

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        for end in (ours, theirs):
            end.setblocking(False)
        yield ours, theirs


@pytest.fixture
def sealed() -> Iterator[int]:
    fd = seal(spec())
    yield fd
    os.close(fd)


def spec(number: int = 1) -> WorkerSpec:
    entries = [{"id": str(each), "key": f"k{each}"} for each in range(number)]
    return WorkerSpec(loaded(apps(*entries)), None, 1, "/nowhere")


def test_beats(pair: Pair) -> None:
    supervisor, worker = pair
    assert receive_beat(supervisor) is None
    for number in range(3):
        send_beat(worker, Beat(True, "me", number))
    assert [receive_beat(supervisor) for _ in range(4)] == [*(Beat(True, "me", n) for n in range(3)), None]
    worker.close()
    assert receive_beat(supervisor) is None


def test_a_beat_to_nobody_is_no_error(pair: Pair) -> None:
    supervisor, worker = pair
    supervisor.close()
    send_beat(worker, Beat(True, "me", 1))


@pytest.mark.parametrize(
    "message",
    [
        b"x",
        b"\xff",
        b"[]",
        b"{}",
        b'{"ready": 1, "incarnation": "a", "spec": 1}',
        b'{"ready": true, "incarnation": null, "spec": 1}',
        json.dumps({"ready": True, "incarnation": "a" * MAX_BEAT_BYTES, "spec": 1}).encode(),
    ],
    ids=lambda message: repr(message[:30]),
)
def test_what_no_worker_says(pair: Pair, message: bytes) -> None:
    supervisor, worker = pair
    worker.send(message)
    with pytest.raises(ControlError):
        receive_beat(supervisor)


def test_specs_of_any_size_arrive_whole(pair: Pair) -> None:
    supervisor, worker = pair
    assert receive_word(worker) is None
    sent = spec(3000)
    fd = seal(sent)
    try:
        assert send_spec(supervisor, 7, fd)
        assert send_spec(supervisor, 8, fd)
    finally:
        os.close(fd)
    for expected in (7, 8):
        received = receive_word(worker)
        assert received is not None
        assert not isinstance(received, Order)
        number, theirs = received
        assert not os.get_inheritable(theirs)
        assert number == expected
        assert unseal(theirs) == sent
    assert receive_word(worker) is None
    supervisor.close()
    with pytest.raises(ConnectionResetError):
        receive_word(worker)


def test_orders_and_specs_come_in_the_order_in_which_they_were_sent(pair: Pair, sealed: int) -> None:
    supervisor, worker = pair
    order = Order(Phase.GONE, ends_at_s=12.5, code=4200, pace_per_second=100.0)
    assert send_order(supervisor, order)
    assert send_spec(supervisor, 2, sealed)
    assert send_order(supervisor, Order(node="worker 1 is stuck"))
    assert receive_word(worker) == order
    received = receive_word(worker)
    assert not isinstance(received, Order) and received is not None
    os.close(received[1])
    assert receive_word(worker) == Order(node="worker 1 is stuck")
    assert receive_word(worker) is None


def test_a_neighbouring_version_is_understood(pair: Pair) -> None:
    supervisor, worker = pair
    worker.send(b'{"ready": true, "incarnation": "a", "spec": 1, "mood": "new"}')
    assert receive_beat(supervisor) == Beat(True, "a", 1)
    supervisor.send(b'{"phase": 1, "why": "new"}')
    assert receive_word(worker) == Order(Phase.LEAVING)


def test_a_sealed_file_cannot_be_changed(sealed: int) -> None:
    with pytest.raises(OSError, match="not permitted"):
        os.pwrite(sealed, b"x", 0)
    with pytest.raises(OSError, match="not permitted"):
        os.truncate(sealed, 0)


def test_a_worker_that_does_not_listen_is_tried_again(pair: Pair, sealed: int) -> None:
    supervisor, worker = pair
    sent = 0
    while send_spec(supervisor, sent, sealed):
        sent += 1
    assert receive_word(worker) is not None
    assert send_spec(supervisor, sent, sealed)


def said(*, number: int = 1, size: int | None = None, tail: bytes = b"") -> Any:
    return lambda fd: struct.pack("!IQ", number, os.fstat(fd).st_size if size is None else size) + tail


@pytest.mark.parametrize(
    ("message", "files"),
    [
        (said(size=5), 1),
        (said(tail=b"x"), 1),
        (lambda _: b"x", 1),
        (said(), 0),
        (said(), 2),
        (lambda _: b'{"phase": "1"}', 0),
    ],
    ids=["another length", "a longer message", "a shorter message", "no file", "two files", "another kind"],
)
def test_what_no_supervisor_says(pair: Pair, sealed: int, message: Any, files: int) -> None:
    supervisor, worker = pair
    before = os.listdir("/proc/self/fd")
    socket.send_fds(supervisor, [message(sealed)], [sealed] * files)
    with pytest.raises(ControlError):
        receive_word(worker)
    assert os.listdir("/proc/self/fd") == before


def test_a_file_without_seals_is_refused(pair: Pair) -> None:
    supervisor, worker = pair
    fd = os.memfd_create("open")
    with contextlib.closing(os.fdopen(fd, "wb")) as file:
        file.write(b"12345")
        file.flush()
        socket.send_fds(supervisor, [struct.pack("!IQ", 1, 5)], [fd])
        with pytest.raises(ControlError):
            receive_word(worker)


def test_what_is_to_be_followed(pair: Pair) -> None:
    supervisor, worker = pair
    follow = Follow(channel="x" * 512, user="\x7f" * 512, event="Zoë" * 100)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            assert send_trace(supervisor, follow, theirs.fileno())
        found = receive_word(worker)
        assert isinstance(found, Trace)
        assert found.follow == follow
        found.connection.send(b"line")
        found.connection.close()
        assert (ours.recv(16), ours.recv(16)) == (b"line", b"")
    assert receive_word(worker) is None


def test_nothing_that_cannot_be_followed(pair: Pair) -> None:
    supervisor, worker = pair
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            socket.send_fds(supervisor, [b"trace nonsense"], [theirs.fileno()])
        with pytest.raises(ControlError, match="trace: "):
            receive_word(worker)
        assert ours.recv(16) == b"", "its descriptor was closed"
