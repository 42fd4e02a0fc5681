"""Lines that are not read, or are too many, are counted and never kept or waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from engine.trace import lines
from engine.trace.lines import MAX_LINES_PER_SECOND, Line, Sender, decode

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def read(sock: socket.socket) -> list[Line]:
    found = []
    while True:
        try:
            datagram = sock.recv(65536)
        except BlockingIOError:
            return found
        if not datagram:
            return found
        found.append(decode(datagram))


def test_one_datagram_each(pair: Pair) -> None:
    sender = Sender(pair[1], 3, lambda: 7.25)
    sender.send("sent", "a\nb \udc80")
    sender.send("written", "x" * 5000)
    sender.close()
    first, second = read(pair[0])
    assert first == Line(7.25, 3, "sent", "a\nb \udc80")
    assert second.text == "x" * lines.MAX_TEXT


def test_what_is_not_read_is_counted(pair: Pair) -> None:
    now_s = 0.0
    sender = Sender(pair[1], 0, lambda: now_s)
    pair[1].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    for number in range(100):
        sender.send("sent", str(number))
    kept = read(pair[0])
    assert 0 < len(kept) < 100
    sender.send("sent", "next")
    lost, after = read(pair[0])
    assert (lost.stage, after.text) == ("lost", "next")
    assert lost.text.startswith(f"{100 - len(kept)} lines")


def test_more_than_so_many_a_second_are_counted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_LINES_PER_SECOND", 3)
    now_s = 5.0
    sender = Sender(pair[1], 0, lambda: now_s)
    for number in range(10):
        sender.send("sent", str(number))
    assert [line.text for line in read(pair[0])] == ["0", "1", "2"]
    now_s = 6.0
    sender.send("sent", "later")
    lost, later = read(pair[0])
    assert lost.text.startswith("7 lines") and later.text == "later"
    for number in range(10):
        sender.send("sent", str(number))
    sender.close()
    assert [line.text for line in read(pair[0])][-1] == "8 lines"
    assert MAX_LINES_PER_SECOND == 1000


def test_who_has_gone_is_noticed(pair: Pair) -> None:
    sender = Sender(pair[1], 0)
    pair[0].close()
    sender.send("sent", "a")
    assert sender.gone


@pytest.mark.parametrize("datagram", [b"", b"{", b"[]", b'{"time_s":1}', b"7"])
def test_what_is_no_line(datagram: bytes) -> None:
    with pytest.raises(ValueError):
        decode(datagram)
