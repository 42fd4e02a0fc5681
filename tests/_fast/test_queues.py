"""Whose turn it is: what one connection sends without end is read a little at a time, and whole in the end."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest

from engine._fast.connection import Connection
from tests._fast.pair import Raw, hub_server, masked
from tests.support.waiting import until


async def test_one_that_sends_without_end_lets_others_have_their_turn() -> None:
    async with hub_server() as b:
        turns: list[int] = []

        def count_turn() -> None:
            turns.append(len(b.recorder.messages))
            if len(b.recorder.messages) < many:
                loop.call_soon(count_turn)

        loop, many = asyncio.get_running_loop(), 30_000
        client = await Raw.connect(b.port)
        client.writer.write(masked(0x81, b"m") * many)
        await until(lambda: b.recorder.messages)
        count_turn()
        await until(lambda: len(b.recorder.messages) == many)
        # How many messages half a millisecond takes depends on the machine; 250,000 bytes of one read are over 30,000.
        assert max(after - before for before, after in itertools.pairwise(turns)) < many // 4
        assert b.recorder.messages == [b"m"] * many
        await client.end()


async def test_frames_of_every_size_survive_being_put_off() -> None:
    async with hub_server() as b:
        texts = [
            bytes([97 + at % 26]) * size for at, size in enumerate((0, 1, 200, 300, 5_000, 60_000, 2, 70, 125) * 200)
        ]
        client = await Raw.connect(b.port)
        client.writer.write(b"".join(masked(0x81, text) for text in texts))
        await until(lambda: len(b.recorder.messages) == len(texts))
        assert b.recorder.messages == texts
        await client.end()


async def test_frames_beyond_the_limit_of_a_second_wait_for_the_next() -> None:
    async with hub_server(max_frames_per_second=100) as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(0x81, b"m") * 1_000)
        read = 0
        while read < 1_000:
            await until(lambda: len(b.recorder.messages) > read)  # noqa: B023
            # A piece of 256 bytes is read to its end.
            assert len(b.recorder.messages) - read <= 100 + 256 // 7
            read = len(b.recorder.messages)
            b.hub.flush_queue.reads.wake()
        await client.end()


async def test_one_that_rests_is_read_again_after_the_second() -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(0x81, b"1"))
        await until(lambda: b.recorder.messages)
        b.recorder.opened_[0].rest()
        client.writer.write(masked(0x81, b"2"))
        await until(lambda: len(b.recorder.messages) == 2)
        client.writer.write(masked(0x81, b"3"))
        other, peer = await b.connect()
        for n in range(20):  # other work is done meanwhile, and this one's is not
            peer.send(f"o{n}")
            await until(lambda: b.recorder.messages[-1] == f"o{n}".encode())  # noqa: B023
        assert b"3" not in b.recorder.messages
        b.hub.flush_queue.reads.wake()
        await until(lambda: b"3" in b.recorder.messages)
        await client.end()
        assert isinstance(other, Connection)


async def test_one_that_leaves_while_it_waits_is_forgotten() -> None:
    async with hub_server(max_frames_per_second=10) as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(0x81, b"m") * 100_000)
        await until(lambda: b.recorder.messages)
        b.recorder.opened_[0].abort()
        await until(lambda: b.recorder.closed_)
        read = len(b.recorder.messages)
        b.hub.flush_queue.reads.wake()
        other, peer = await b.connect()
        peer.send("other")
        await until(lambda: b"other" in b.recorder.messages)
        assert len(b.recorder.messages) == read + 1
        await client.end()
        assert other.close_code == 0


@pytest.mark.parametrize("last", [b"", masked(0x88, b"\x03\xe8")], ids=["without a word", "with a close frame"])
async def test_those_who_go_at_once_end_one_after_the_other(last: bytes) -> None:
    async with hub_server() as b:
        loop, turns, many = asyncio.get_running_loop(), [0], 20

        def leaving(connection: Connection) -> None:
            """What takes longer than all of them may take of one turn."""
            b.recorder.left.append(connection)
            end_s = time.monotonic() + 0.003
            while time.monotonic() < end_s:
                pass

        def count_turn() -> None:
            turns.append(len(b.recorder.left))
            if len(b.recorder.closed_) < many:
                loop.call_soon(count_turn)

        clients = [await Raw.connect(b.port) for _ in range(many)]
        await until(lambda: len(b.recorder.opened_) == many)
        b.recorder.leaving = leaving  # type: ignore[method-assign]
        for client in clients:
            client.writer.write(last)
            client.writer.close()
        count_turn()
        await until(lambda: len(b.recorder.closed_) == many)
        assert max(after - before for before, after in itertools.pairwise(turns)) == 1
        assert {code for _, code, _ in b.recorder.closed_} == {1000 if last else 1006}
