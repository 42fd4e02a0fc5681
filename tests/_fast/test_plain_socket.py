"""A socket taken from the loop's transport goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from engine._fast.plain_socket import PlainSockets
from engine._fast.readable import Readers
from tests.support.waiting import until

NO_LIMIT = 2**31 - 1


class Recorder(asyncio.Protocol):
    """:ivar stays: whether it goes on when its peer has no more to say."""

    def __init__(self, *, stays: bool = False) -> None:
        self.stays = stays
        self.data = b""
        self.ended = False
        self.lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self.data += data

    def eof_received(self) -> bool:
        self.ended = True
        return self.stays

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.append(exc)


def plain_sockets(first_kept: int = NO_LIMIT) -> PlainSockets:
    loop = asyncio.get_running_loop()
    return PlainSockets(Readers(None, loop.add_reader, loop.remove_reader), loop.call_soon, first_kept)


async def taken(protocol: Recorder, early: bytes = b"") -> tuple[Any, socket.socket]:
    """(our side, the peer's socket). :param early: sent before it is taken, and not read by then."""
    loop, sockets = asyncio.get_running_loop(), plain_sockets()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    first = Recorder()
    transport, _ = await loop.connect_accepted_socket(lambda: first, ours)
    if early:
        transport.pause_reading()
        theirs.send(early)
    made = sockets.take(transport, protocol)  # type: ignore[arg-type]
    assert made is not None
    await until(transport.is_closing)
    await until(lambda: bool(made.fileno() >= 0))
    assert not first.lost, "whoever had it is told nothing"
    return made, theirs


def read(sock: socket.socket) -> bytes | None:
    """What has come; b"" is the end, None nothing yet."""
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return None


async def test_what_was_not_read_and_what_comes_is_received() -> None:
    protocol = Recorder()
    transport, peer = await taken(protocol, b"early")
    with peer:
        await until(lambda: protocol.data == b"early")
        peer.send(b" and late")
        await until(lambda: protocol.data == b"early and late")
        transport.write(b"answer")
        await until(lambda: read(peer) == b"answer")
        transport.abort()
        await until(lambda: protocol.lost == [None])
        assert read(peer) == b""
        assert transport.is_closing()
        assert transport.fileno() == -1


async def test_what_the_kernel_does_not_take_comes_later_and_in_order_and_then_the_end() -> None:
    protocol = Recorder()
    transport, peer = await taken(protocol)
    with peer:
        sent = os.urandom(3_000_000)
        transport.write(sent[:2_000_000])
        transport.write(sent[2_000_000:])
        assert 0 < transport.get_write_buffer_size() < len(sent)
        transport.write_eof()
        transport.close()
        got = bytearray()

        def all_read() -> bool:
            more = read(peer)
            got.extend(more or b"")
            return more == b""

        await until(all_read)
        assert got == sent
        await until(lambda: protocol.lost == [None])


async def test_a_peer_that_ends_is_told_once_and_the_socket_is_closed() -> None:
    protocol = Recorder()
    _, peer = await taken(protocol)
    peer.close()
    await until(lambda: protocol.lost == [None])
    assert protocol.ended


async def test_who_stays_may_write_to_a_peer_that_has_no_more_to_say() -> None:
    protocol = Recorder(stays=True)
    transport, peer = await taken(protocol)
    with peer:
        peer.shutdown(socket.SHUT_WR)
        await until(lambda: protocol.ended)
        protocol.ended = False
        transport.write(b"still here")
        await until(lambda: read(peer) == b"still here")
        assert not protocol.ended, "the end is told once"
        assert not protocol.lost
        transport.close()
        await until(lambda: protocol.lost == [None])


async def test_nothing_is_received_while_reading_is_paused() -> None:
    protocol = Recorder()
    transport, peer = await taken(protocol)
    with peer:
        transport.pause_reading()
        peer.send(b"x")
        transport.write(b"y")
        await until(lambda: read(peer) == b"y")
        assert not protocol.data
        transport.resume_reading()
        await until(lambda: protocol.data == b"x")
        transport.abort()
        await until(lambda: protocol.lost == [None])


async def test_unsent_bytes_to_a_peer_that_is_gone_end_it_with_an_error() -> None:
    protocol = Recorder()
    transport, peer = await taken(protocol)
    transport.pause_reading()
    transport.write(b"x" * 3_000_000)
    peer.close()
    await until(lambda: len(protocol.lost) == 1)
    assert isinstance(protocol.lost[0], OSError)
    transport.write(b"nobody hears it")


@pytest.mark.parametrize("how", ["unsent", "tls"])
async def test_what_cannot_be_taken_stays_where_it_is(how: str) -> None:
    class Kept:
        def get_extra_info(self, name: str) -> object:
            return object() if how == "tls" and name == "ssl_object" else None

        def get_write_buffer_size(self) -> int:
            return 1

    assert plain_sockets().take(Kept(), Recorder()) is None  # type: ignore[arg-type]


async def test_a_peer_that_resets_ends_it_with_an_error() -> None:
    protocol = Recorder(stays=True)
    transport, peer = await taken(protocol)
    transport.write(b"never read")
    peer.close()
    await until(lambda: len(protocol.lost) == 1)
    assert isinstance(protocol.lost[0], ConnectionResetError)
    assert transport.fileno() == -1
    transport.close()
    transport.abort()
    assert len(protocol.lost) == 1, "told once"


async def test_who_closes_with_bytes_unsent_can_still_be_aborted() -> None:
    protocol = Recorder()
    transport, peer = await taken(protocol)
    with peer:
        transport.write(b"x" * 3_000_000)
        transport.close()
        transport.close()
        assert not protocol.lost
        peer.send(b"not read any more")
        transport.abort()
        transport.abort()
        assert transport.get_write_buffer_size() == 0
        await until(lambda: protocol.lost == [None])
        assert not protocol.data


def descriptors_of(sock: Any) -> int:
    """How many of this process are of the same socket."""
    mine = os.fstat(sock.fileno())
    return sum(os.path.samestat(mine, os.stat(path)) for path in Path("/proc/self/fd").iterdir() if path.exists())


async def test_one_descriptor_is_left_of_two() -> None:
    protocol = Recorder()
    transport, peer = await taken(protocol)
    with peer:
        await until(lambda: descriptors_of(transport) == 1)
        assert not os.get_inheritable(transport.fileno())
        transport.abort()
        await until(lambda: protocol.lost == [None])


async def test_a_descriptor_that_is_kept_for_others_is_not_taken() -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        first = Recorder()
        transport, _ = await loop.connect_accepted_socket(lambda: first, ours)
        assert plain_sockets(first_kept=3).take(transport, Recorder()) is None  # type: ignore[arg-type]
        theirs.send(b"as before")
        await until(lambda: first.data == b"as before")
        transport.abort()
        await until(lambda: first.lost == [None])
