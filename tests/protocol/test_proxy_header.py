"""The PROXY protocol's header: what is one, what never becomes one, and that no byte behind it is taken."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from engine.protocol.proxy_header import MAX_LINE_BYTES, ProxyHeaderError, begins, may_begin, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, addresses: bytes = b"", more: bytes = b"") -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses) + len(more)) + addresses + more


def tcp4(source: str = "198.51.100.7", destination: str = "192.0.2.1") -> bytes:
    return socket.inet_aton(source) + socket.inet_aton(destination) + struct.pack("!HH", 4711, 443)


def tcp6(source: str = "2001:db8::7", destination: str = "2001:db8::1") -> bytes:
    return (
        socket.inet_pton(socket.AF_INET6, source)
        + socket.inet_pton(socket.AF_INET6, destination)
        + struct.pack("!HH", 4711, 443)
    )


#: No operation, a unique id, and one that nobody knows.
TLVS = b"\x04\x00\x03abc" + b"\x05\x00\x02id" + b"\xee\x00\x00"

GOOD: list[tuple[bytes, str | None]] = [
    (b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n", "198.51.100.7"),
    (b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"),
    (b"PROXY TCP4 198.51.100.7 192.0.2.1 0 0\r\n", "198.51.100.7"),
    (b"PROXY TCP6 2001:DB8::7 2001:db8::1 4711 443\r\n", "2001:db8::7"),
    (b"PROXY TCP6 ::ffff:198.51.100.7 ::1 4711 443\r\n", "198.51.100.7"),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", None),
    (b"PROXY UNKNOWN " + b"x" * (MAX_LINE_BYTES - 16) + b"\r\n", None),
    (v2(0x21, 0x11, tcp4()), "198.51.100.7"),
    (v2(0x21, 0x11, tcp4(), TLVS), "198.51.100.7"),
    (v2(0x21, 0x21, tcp6()), "2001:db8::7"),
    (v2(0x21, 0x21, tcp6("::ffff:198.51.100.7")), "198.51.100.7"),
    (v2(0x21, 0x21, tcp6(), b"\x04\xff\x00" + bytes(0xFF00)), "2001:db8::7"),
    (v2(0x21, 0x31, bytes(216)), None),
    (v2(0x21, 0x12, tcp4()), None),
    (v2(0x21, 0x00), None),
    (v2(0x21, 0x00, b"", TLVS), None),
    (v2(0x20, 0x00), None),
    (v2(0x20, 0x11, tcp4()), None),
    (v2(0x20, 0x11), None),
]

BAD = [
    b"GET / HTTP/1.1\r\n\r\n",
    b"\x16\x03\x01\x02\x00",
    b"PROXX",
    b"proxy TCP4 198.51.100.7 192.0.2.1 4711 443\r\n",
    b"PROXY  TCP4 198.51.100.7 192.0.2.1 4711 443\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 4711\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443 \r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 65536\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 0443\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 +443\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 -1 443\r\n",
    b"PROXY TCP4 198.51.100.256 192.0.2.1 4711 443\r\n",
    b"PROXY TCP4 198.51.100.07 192.0.2.1 4711 443\r\n",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n",
    b"PROXY TCP6 198.51.100.7 192.0.2.1 4711 443\r\n",
    b"PROXY TCP6 fe80::7%eth0 2001:db8::1 4711 443\r\n",
    b"PROXY TCP4 \xff 192.0.2.1 4711 443\r\n",
    b"PROXY UDP4 198.51.100.7 192.0.2.1 4711 443\r\n",
    b"PROXY UNKNOWN " + b"x" * (MAX_LINE_BYTES - 15) + b"\r\n",
    b"PROXY " + b"x" * MAX_LINE_BYTES,
    SIGNATURE[:-1] + b"X",
    v2(0x11, 0x11, tcp4()),
    v2(0x31, 0x11, tcp4()),
    v2(0x22, 0x11, tcp4()),
    v2(0x21, 0x41, tcp4()),
    v2(0x21, 0x13, tcp4()),
    v2(0x21, 0x10, tcp4()),
    v2(0x21, 0x11, tcp4()[:-1]),
    v2(0x21, 0x21, tcp6()[:-1]),
    v2(0x21, 0x31, bytes(215)),
    v2(0x21, 0x11),
]


@pytest.mark.parametrize(("header", "source"), GOOD)
def test_a_header_in_pieces_with_bytes_behind_it(header: bytes, source: str | None) -> None:
    step = 1 if len(header) < 1000 else 997
    for size in range(1, len(header), step):
        assert may_begin(header[:size])
        assert read_header(header[:size]) is None
    for rest in (b"", b"G", b"PROXY UNKNOWN\r\n", b"\x16\x03\x01"):
        found = read_header(header + rest)
        assert found is not None
        assert (found.size, found.source) == (len(header), source)
    assert begins(header)


@pytest.mark.parametrize("data", BAD)
def test_what_is_no_header_is_found_out_whatever_comes(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError) as error:
        read_header(data)
    assert str(error.value)
    # However it was cut, nothing of it was ever taken for a header.
    for size in range(1, len(data)):
        try:
            assert read_header(data[:size]) is None
        except ProxyHeaderError:
            break


def test_broken_headers_are_headers_or_errors_or_wait_for_more() -> None:
    chance = random.Random(7)
    seen = set()
    for _ in range(20_000):
        data = bytearray(chance.choice(GOOD)[0][:300])
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(data))
            if chance.random() < 0.7:
                data[at] = chance.choice((chance.randrange(256), 0x20, 0x0D, 0x0A, 0x30, 0x11, 0x21))
            else:
                del data[at : at + chance.randrange(1, 5)]
            data = data or bytearray(b"P")
        try:
            found = read_header(bytes(data))
        except ProxyHeaderError:
            seen.add("error")
            continue
        seen.add("waits" if found is None else "header")
        if found is not None:
            assert 15 <= found.size <= len(data)
            again = read_header(bytes(data[: found.size]))
            assert again == found
            assert read_header(bytes(data[: found.size - 1])) is None
    assert seen == {"error", "waits", "header"}
