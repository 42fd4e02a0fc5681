"""A socket that is handed to a worker's loop is closed by the loop, once, however its connection ends."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

import pytest

from engine.worker.loop import Loop
from tests.support.waiting import PATIENCE_S


class Ends(asyncio.Protocol):
    """Ends its connection as soon as it is made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.abort()  # type: ignore[union-attr]


class Refuses(asyncio.Protocol):
    """Breaks before there is a connection."""

    def __init__(self) -> None:
        raise ValueError("no protocol today")


class Closes(asyncio.Protocol):
    """Lives until the peer goes."""

    def __init__(self) -> None:
        self.lost = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


def pair(kind: str) -> tuple[socket.socket, socket.socket]:
    """Two ends of one connection."""
    if kind == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return socket.create_connection(listener.getsockname()), listener.accept()[0]


def hand_over(kind: str) -> Callable[..., Awaitable[tuple[asyncio.Transport, asyncio.BaseProtocol]]]:
    loop = asyncio.get_running_loop()
    return loop.create_unix_connection if kind == "unix" else loop.create_connection  # type: ignore[return-value]


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def play() -> None:
        await scenario()

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(play())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_connection_that_ends_while_it_is_made_leaves_its_socket_nothing_to_close(kind: str) -> None:
    async def scenario() -> None:
        ours, theirs = pair(kind)
        number = ours.fileno()
        await hand_over(kind)(Ends, sock=ours)
        assert ours.fileno() == -1
        theirs.settimeout(5)
        assert await asyncio.to_thread(theirs.recv, 1) == b""
        # The number is free now, and whoever has it next keeps it.
        next_one = os.dup(theirs.fileno())
        assert next_one == number
        ours.close()
        del ours
        os.fstat(next_one)
        os.close(next_one)
        theirs.close()

    run(scenario)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_a_socket_that_was_never_opened_is_closed(kind: str) -> None:
    async def scenario() -> None:
        ours, theirs = pair(kind)
        with pytest.raises(ValueError, match="no protocol"):
            await hand_over(kind)(Refuses, sock=ours)
        theirs.settimeout(5)
        assert await asyncio.to_thread(theirs.recv, 1) == b""
        theirs.close()

    run(scenario)


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_orderly_connection_works_and_ends(kind: str) -> None:
    async def scenario() -> None:
        ours, theirs = pair(kind)
        transport, protocol = await hand_over(kind)(Closes, sock=ours)
        assert isinstance(protocol, Closes)
        transport.write(b"hello")
        theirs.settimeout(5)
        assert await asyncio.to_thread(theirs.recv, 5) == b"hello"
        assert transport.get_extra_info("socket").fileno() >= 0
        theirs.close()
        await asyncio.wait_for(protocol.lost, PATIENCE_S)

    run(scenario)


def test_a_cancelled_connection_is_closed() -> None:
    async def scenario() -> None:
        ours, theirs = pair("tcp")
        making = asyncio.ensure_future(hand_over("tcp")(Closes, sock=ours))
        await asyncio.sleep(0)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert ours.fileno() == -1
        theirs.settimeout(5)
        assert await asyncio.to_thread(theirs.recv, 1) == b""
        theirs.close()

    run(scenario)


def test_without_a_socket_it_connects_as_ever() -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            transport, _ = await asyncio.get_running_loop().create_connection(Closes, *listener.getsockname())
            transport.close()

    run(scenario)
