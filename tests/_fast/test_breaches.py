"""What breaks RFC 6455: one close frame with the right code, after all that was said before, and nothing read after."""

from __future__ import annotations

import asyncio

import pytest

from engine._fast.frame import text_frame
from tests._fast.pair import Raw, hub_server, masked
from tests.support.waiting import until

TEXT, BINARY, CLOSE, PING = 0x81, 0x82, 0x88, 0x89
#: Codes that a close frame may carry: those of the RFC, IANA's later ones, and the two ranges for others.
GOOD_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
BAD_CODES = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)

OPCODES = {"text": TEXT, "binary": BINARY, "ping": PING, "close": CLOSE, "continuation": 0x80}
BREACHES = {
    **{
        f"rsv {bits:#x} of {name}": (masked(first | bits, b"x"), 1002)
        for bits in (0x40, 0x20, 0x10, 0x70)
        for name, first in OPCODES.items()
    },
    **{f"opcode {opcode:#x}": (masked(0x80 | opcode, b""), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"close code {code}": (masked(CLOSE, code.to_bytes(2)), 1002) for code in BAD_CODES},
    "half a close code": (masked(CLOSE, b"\x03"), 1002),
    "a reason that is no UTF-8": (masked(CLOSE, b"\x03\xe8\xff"), 1007),
    "a ping too long": (masked(PING, b"x" * 126), 1002),
    "a ping in fragments": (masked(0x09, b"x"), 1002),
    "a continuation of nothing": (masked(0x80, b"x"), 1002),
    "a message within another": (masked(0x01, b"x") + masked(TEXT, b"x"), 1002),
    "not masked": (b"\x81\x01x", 1002),
    "a length that is too long for its size": (b"\x81\xfe\x00\x01\0\0\0\0x", 1002),
    "text with a byte that UTF-8 has not": (masked(TEXT, b"abcdefgh\xff"), 1007),
    "text with half a character": (masked(TEXT, "ö".encode()[:1]), 1007),
    "text with a surrogate": (masked(TEXT, b"\xed\xa0\x80"), 1007),
    "text with an overlong slash": (masked(TEXT, b"\xc0\xaf"), 1007),
    "text beyond Unicode": (masked(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "text in fragments": (masked(0x01, "ö".encode()[:1]) + masked(0x80, b"x"), 1007),
}  # fmt: skip


@pytest.mark.parametrize(("wrong", "code"), BREACHES.values(), ids=BREACHES.keys())
async def test_a_breach_is_answered_with_one_close_frame(wrong: bytes, code: int) -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(PING, b"before") + masked(TEXT, b"before") + wrong + masked(TEXT, b"after"))
        frames = await client.frames()
        assert [first for first, _ in frames] == [0x8A, 0x88]
        assert int.from_bytes(frames[1][1][:2]) == code
        assert b.recorder.messages == [b"before"]
        assert [connection.close_code for connection in b.recorder.left] == [code]
        await client.end()
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][1] == code


@pytest.mark.parametrize("code", GOOD_CODES)
async def test_good_codes_are_echoed(code: int) -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(CLOSE, code.to_bytes(2) + "schöne Grüße".encode()))
        assert await client.frames() == [(CLOSE, code.to_bytes(2))]
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_ == [(b.recorder.opened_[0].socket_id, code, "schöne Grüße")]
        await client.end()


@pytest.mark.parametrize(
    "behind", [masked(CLOSE, b"\x03\xe8"), b"\xff" * 50, masked(TEXT, b"after"), masked(0x83, b"")]
)
async def test_what_comes_behind_a_close_frame_is_not_looked_at(behind: bytes) -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(CLOSE, b"\x03\xe8") + behind)
        assert await client.frames() == [(CLOSE, b"\x03\xe8")]
        await until(lambda: b.recorder.closed_)
        assert b.recorder.messages == []
        await client.end()


async def test_a_close_frame_without_a_code_is_answered() -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(CLOSE, b""))
        assert await client.frames() == [(CLOSE, b"\x03\xe8")]
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][1] == 1005
        await client.end()


@pytest.mark.parametrize("wrong", [b"\x81\x01x", masked(0x83, b""), masked(TEXT, b"\xff"), masked(CLOSE, b"\x13\x88")])
async def test_a_breach_behind_our_own_close_frame_is_not_answered_again(wrong: bytes) -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        await until(lambda: b.recorder.opened_)
        b.recorder.opened_[0].close(4200, "come again")
        client.writer.write(wrong + masked(CLOSE, b"\x10\x68"))
        assert await client.frames() == [(CLOSE, b"\x10\x68come again")]
        await client.end()
        await until(lambda: b.recorder.closed_)
        assert b.recorder.closed_[0][1] == 4200


async def test_good_text_of_every_size_comes_up() -> None:
    texts = [("x" * size + "ö€😀").encode() for size in range(20)] + [b"y" * size for size in range(20)]
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(b"".join(masked(TEXT, text) for text in texts))
        await until(lambda: len(b.recorder.messages) == len(texts))
        assert b.recorder.messages == texts
        await client.end()


async def test_binary_need_not_be_text() -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(0x02, b"\xff") + masked(0x80, b"\xfe") + masked(BINARY, b"\xff"))
        await until(lambda: len(b.recorder.messages) == 2)
        assert b.recorder.messages == [b"\xff\xfe", b"\xff"]
        await client.end()


async def test_a_breach_is_told_to_clients_that_go_on_sending_too() -> None:
    async with hub_server() as b:
        client = await Raw.connect(b.port)
        client.writer.write(masked(0x83, b"") + b"z" * 1_000_000)
        frames = await client.frames()
        assert [first for first, _ in frames] == [CLOSE]
        await client.end()
        await asyncio.wait_for(until(lambda: b.recorder.closed_), 5)


async def test_a_connection_is_left_when_its_end_is_decided_and_once() -> None:
    async with hub_server() as b:
        ways = (
            lambda connection: connection.close(4009, "go"),
            lambda connection: connection.abort(),
        )
        for number, end in enumerate(ways):
            connection, _ = await b.connect()
            end(connection)
            assert b.recorder.left[number] is connection
            assert len(b.recorder.closed_) == number, "the socket is there still"
            connection.close(4200, "again")
            connection.abort()
            await until(lambda: len(b.recorder.closed_) == number + 1)  # noqa: B023
            assert len(b.recorder.left) == number + 1
            connection.send(text_frame(b"never"))
