"""What RFC 6455 says a server must do, section by section, as data: bytes that a client sends, and what comes back.

After the classes of cases of the Autobahn testsuite. Compression (its classes 12 and 13) is declined and has no cases.
The engine does not echo: a message that was understood is answered with a pong of the Pusher protocol.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests._fast.pair import masked

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x80, 0x81, 0x82, 0x88, 0x89, 0x8A
FIN = 0x80
#: The largest message, as shipped.
MAX_MESSAGE_BYTES = 64 * 1024
GOODBYE = masked(CLOSE, b"\x03\xe8")


@dataclass(frozen=True, slots=True)
class Case:
    """:param sent: by the client, which says goodbye behind it. :param pongs: payloads of the pongs that must come.
    :param understood: messages that must be answered. :param close: the one close code that must come, last.
    :param pieces: bytes in one write; 0 is all."""

    section: str
    what: str
    sent: bytes
    pongs: tuple[bytes, ...] = ()
    understood: int = 0
    close: int = 1000
    pieces: int = 0


def message(size: int = 30, text: str = "") -> bytes:
    """A message of the Pusher protocol that is answered, of exactly that many bytes, with some text in it."""
    start, end = b'{"event":"pusher:ping","data":"' + text.encode(), b'"}'
    return start + b"x" * (size - len(start) - len(end)) + end


def fragments(first: int, *parts: bytes) -> list[bytes]:
    """A message in so many frames."""
    opcodes = [first & ~FIN, *[0] * (len(parts) - 1)]
    opcodes[-1] |= FIN
    return [_frame(opcode, part) for opcode, part in zip(opcodes, parts, strict=True)]


def _frame(first: int, payload: bytes) -> bytes:
    if len(payload) < 65536:
        return masked(first, payload)
    return bytes([first, 0xFF]) + len(payload).to_bytes(8) + b"\0\0\0\0" + payload


def _framing() -> Iterator[Case]:
    for first, name in ((TEXT, "text"), (BINARY, "binary")):
        for size in (33, 125, 126, 127, 128, 65535, 65536):
            sent = _frame(first, message(size))
            yield Case("5.2", f"{name} of {size} bytes", sent, understood=1)
            yield Case("5.2", f"{name} of {size} bytes, in pieces", sent, understood=1, pieces=997)
    yield Case("5.2", "text of 65,537 bytes, one too many", _frame(TEXT, message(65537)), close=1009)
    yield Case("5.2", "the header a byte at a time", _frame(TEXT, message(40)), understood=1, pieces=1)
    yield Case("5.2", "a length in more bytes than it needs", b"\x81\xfe\x00\x21\0\0\0\0" + message(33), close=1002)
    yield Case("5.2", "a length of 2^63", b"\x81\xff\x80" + bytes(7) + b"\0\0\0\0", close=1002)
    yield Case("5.1", "a frame that is not masked", b"\x81\x21" + message(33), close=1002)


def _reserved() -> Iterator[Case]:
    for bits in range(1, 8):
        for first, name in ((TEXT, "text"), (PING, "ping"), (CLOSE, "close")):
            yield Case("5.2", f"reserved bits {bits:03b} of a {name}", masked(first | bits << 4, b""), close=1002)
    for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
        for payload in (b"", b"x" * 100):
            what = f"reserved opcode {opcode:#x} with {len(payload)} bytes"
            yield Case("5.2", what, masked(FIN | opcode, payload), close=1002)


def _control() -> Iterator[Case]:
    for payload in (b"", b"Hello", b"\x00\xff\xfe", b"x" * 125):
        yield Case("5.5.2", f"a ping of {len(payload)} bytes", masked(PING, payload), pongs=(payload,))
        yield Case("5.5.2", f"the same byte by byte, {len(payload)}", masked(PING, payload), pongs=(payload,), pieces=1)
    ten = tuple(b"%d" % number for number in range(10))
    yield Case("5.5.2", "ten pings", b"".join(masked(PING, payload) for payload in ten), pongs=ten)
    yield Case("5.5.3", "a pong that nobody asked for", masked(PONG, b"x") + masked(PING, b"y"), pongs=(b"y",))
    yield Case("5.5", "a ping of 126 bytes", masked(PING, b"x" * 126), close=1002)
    yield Case("5.5", "a ping in fragments", masked(PING & ~FIN, b"x"), close=1002)
    yield Case("5.5", "a pong in fragments", masked(PONG & ~FIN, b"x"), close=1002)


def _fragmentation() -> Iterator[Case]:
    whole = message(60)
    two, three = fragments(TEXT, whole[:20], whole[20:]), fragments(TEXT, whole[:20], b"", whole[20:])
    ping = masked(PING, b"between")
    yield Case("5.4", "a text in two frames", b"".join(two), understood=1)
    yield Case("5.4", "the same byte by byte", b"".join(two), understood=1, pieces=1)
    yield Case("5.4", "with an empty frame between", b"".join(three), understood=1)
    yield Case("5.4", "with a ping between", two[0] + ping + two[1], understood=1, pongs=(b"between",))
    many = [whole[at : at + 1] for at in range(len(whole))]
    yield Case("5.4", "in one frame for each byte", b"".join(fragments(TEXT, *many)), understood=1)
    yield Case("5.4", "two such texts", b"".join(two) * 2, understood=2)
    yield Case("5.4", "a continuation of nothing", masked(CONTINUATION, b"x"), close=1002)
    yield Case("5.4", "the same that does not end", masked(0, b"x"), close=1002)
    yield Case("5.4", "a text within a text", two[0] + masked(TEXT, b"x"), close=1002)
    yield Case("5.4", "fragments that grow too large", b"".join(fragments(TEXT, *[b"x" * 30_000] * 3)), close=1009)


def _utf8() -> Iterator[Case]:
    for text in ("Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x7f", "߿", "ࠀ", "\uffff", "𐀀", "\U0010ffff", "￾"):
        sent = _frame(TEXT, message(120, text))
        name = text.encode("unicode_escape").decode()
        yield Case("8.1", f"good text: {name}", sent, understood=1)
        whole = message(120, text)
        yield Case(
            "8.1", f"cut within a character: {name}", b"".join(fragments(TEXT, whole[:32], whole[32:])), understood=1
        )
    for wrong in (
        *(
            b"\x80",
            b"\xbf",
            b"\xc0\x80",
            b"\xc1\xbf",
            b"\xc3",
            b"\xe0\x80\xaf",
            b"\xe2\x82",
            b"\xed\xa0\x80",
            b"\xed\xbf\xbf",
        ),
        *(
            b"\xf0\x80\x80\xaf",
            b"\xf0\x9f\x98",
            b"\xf4\x90\x80\x80",
            b"\xf5\x80\x80\x80",
            b"\xf8\x88\x80\x80\x80",
            b"\xfe",
            b"\xff",
        ),
    ):
        yield Case("8.1", f"no text: {wrong.hex()}", masked(TEXT, b"Hello-" + wrong + b"-edited"), close=1007)
        parts = fragments(TEXT, b"Hello-" + wrong[:1], wrong[1:] + b"-edited")
        yield Case("8.1", f"no text, in two frames: {wrong.hex()}", b"".join(parts), close=1007)


def _closing() -> Iterator[Case]:
    yield Case("5.5.1", "a close frame without a code", masked(CLOSE, b""))
    yield Case("5.5.1", "with a reason of 123 bytes", masked(CLOSE, b"\x03\xe8" + b"x" * 123))
    yield Case("5.5.1", "with a reason of 124 bytes", masked(CLOSE, b"\x03\xe8" + b"x" * 124), close=1002)
    yield Case("5.5.1", "with half a code", masked(CLOSE, b"\x03"), close=1002)
    yield Case("5.5.1", "with a reason that is no text", masked(CLOSE, b"\x03\xe8\xce\xba\xe1\xbd"), close=1007)
    yield Case("5.5.1", "twice", GOODBYE)
    yield Case("5.5.1", "and a ping behind it", GOODBYE + masked(PING, b"late"))
    yield Case("5.5.1", "and a text behind it", GOODBYE + _frame(TEXT, message()))
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        yield Case("7.4.1", f"code {code} is echoed", masked(CLOSE, code.to_bytes(2)), close=code)
    for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
        yield Case("7.4.2", f"code {code} is not", masked(CLOSE, code.to_bytes(2)), close=1002)


CASES: tuple[Case, ...] = (
    *_framing(),
    *_reserved(),
    *_control(),
    *_fragmentation(),
    *_utf8(),
    *_closing(),
)
