"""The PROXY protocol's header, by which a balancer says who a connection comes from, before that one's own bytes.

Versions 1 and 2 of HAProxy's specification (proxy-protocol.txt, 2020-03-05). Pure: bytes in, an address out. Never
decides whose headers are believed.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

#: Longest line of version 1, its end included (its section 2.1).
MAX_LINE_BYTES = 107
#: Longest header of version 2: a length of 16 bits behind the fixed part (its section 2.2).
MAX_BYTES = 16 + 65535

_WORD = b"PROXY "
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
#: Family and transport of version 2 -> bytes of its two addresses and ports, and of one address; those that name no
#: address of the Internet's TCP have no second.
_ADDRESSES = {0x00: (0, 0), 0x11: (12, 4), 0x12: (12, 0), 0x21: (36, 16), 0x22: (36, 0), 0x31: (216, 0), 0x32: (216, 0)}


class ProxyHeaderError(Exception):
    """The bytes are no such header, however they go on. The text says why, without what was sent."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """:ivar size: its bytes; what follows them is the connection's own.
    :ivar source: the client's address; None (LOCAL, UNKNOWN, no TCP) keeps the peer's, as of a balancer's checks."""

    size: int
    source: str | None


def may_begin(data: bytes) -> bool:
    """Whether a header of either version begins so. :param data: at least one byte."""
    return any(data[: len(start)] == start[: len(data)] for start in (_WORD, _SIGNATURE))


def begins(data: bytes) -> bool:
    """Whether they are enough to tell that a header is what begins here."""
    return data.startswith((_WORD, _SIGNATURE))


def read_header(data: bytes) -> ProxyHeader | None:
    """The header that these bytes begin with; None while it is not complete: then all of them belong to it.

    Raises ProxyHeaderError.
    """
    if not may_begin(data):
        raise ProxyHeaderError("there is none")
    if not begins(data):
        return None
    return _version_1(data) if data.startswith(_WORD) else _version_2(data)


def _version_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_LINE_BYTES)
    if end < 0:
        if len(data) >= MAX_LINE_BYTES:
            raise ProxyHeaderError("the line is too long")
        return None
    words = data[len(_WORD) : end].split(b" ")
    if words[0] == b"UNKNOWN":
        return ProxyHeader(end + 2, None)
    if len(words) != 5 or words[0] not in (b"TCP4", b"TCP6"):
        raise ProxyHeaderError("the line is malformed")
    source, destination = (_address(words[0], word) for word in words[1:3])
    if source is None or destination is None or not all(map(_is_port, words[3:])):
        raise ProxyHeaderError("an address or a port is malformed")
    return ProxyHeader(end + 2, source)


def _version_2(data: bytes) -> ProxyHeader | None:
    if len(data) < _FIXED.size:
        return None
    _, command, family, length = _FIXED.unpack_from(data)
    if command not in (_LOCAL, _PROXY):
        raise ProxyHeaderError("its version or command is unknown")
    if family not in _ADDRESSES:
        raise ProxyHeaderError("its family or transport is unknown")
    both, one = _ADDRESSES[family]
    if command == _PROXY and length < both:
        raise ProxyHeaderError("it is too short for its addresses")
    size = _FIXED.size + length
    if len(data) < size:
        return None
    if command == _LOCAL or not one:
        return ProxyHeader(size, None)
    return ProxyHeader(size, _text(ipaddress.ip_address(data[_FIXED.size : _FIXED.size + one])))


def _address(family: bytes, word: bytes) -> str | None:
    try:
        address = ipaddress.ip_address(word.decode("ascii"))
    except ValueError:
        return None
    if address.version != int(family[3:]) or b"%" in word:
        return None
    return _text(address)


def _text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)


def _is_port(word: bytes) -> bool:
    return word.isdigit() and len(word) <= 5 and int(word) <= 65535 and (word == b"0" or not word.startswith(b"0"))
