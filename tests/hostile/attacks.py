"""What a hostile client sends, each kind by a name: first bytes, and what it goes on with for ever.

Bytes only; `senders.py` sends them, `__main__.py` says what the others felt.
"""

from __future__ import annotations

import json
import struct
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.support.engine import APP
from tests.support.signing import channel_auth, signed_query

HANDSHAKE = (
    b"GET /app/%s?protocol=7 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
KEY = APP["key"].encode()
ROOM = "private-hostile"


@dataclass(frozen=True, slots=True)
class Attack:
    """:ivar says: for the table.
    :ivar first: bytes after which `goes_on` is sent again and again; given the socket id where `is_client`.
    :ivar is_client: connects as a WebSocket client first.
    :ivar reads: what comes is read, else left lying.
    :ivar comes_again: the connection is ended after `first`, and another one made at once.
    :ivar pause_s: between two pieces.
    """

    says: str
    goes_on: Callable[[], bytes] = bytes
    first: Callable[[str], bytes] = lambda _: b""
    is_client: bool = False
    reads: bool = True
    comes_again: bool = False
    pause_s: float = 0.0


def frame(payload: bytes, opcode: int = 1, fin: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    return head + bytes(4) + payload


def message(event: str, data: Any, **more: Any) -> bytes:
    return frame(json.dumps({"event": event, "data": data, **more}, separators=(",", ":")).encode())


def request(line: str, body: bytes = b"", headers: str = "") -> bytes:
    return f"{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def publish(channels: list[str] | None = None, data: str = "x") -> bytes:
    """Signed now."""
    body = json.dumps({"name": "e", "channels": channels or ["nobody"], "data": data}).encode()
    path = f"/apps/{APP['id']}/events"
    query = signed_query(APP["key"], APP["secret"], "POST", path, body)
    return request(f"POST {path}?{urllib.parse.urlencode(query)}", body)


UNSIGNED = request(f"POST /apps/{APP['id']}/events", b"{}")
STRANGE = request(f"GET /apps/{APP['id']}/channels")
_numbers = iter(range(1 << 62))


def _joins(churn: bool) -> bytes:
    made = []
    for _ in range(50):
        channel = {"channel": f"hostile-{next(_numbers)}"}
        made.append(message("pusher:subscribe", channel))
        if churn:
            made.append(message("pusher:unsubscribe", channel))
    return b"".join(made)


def _in_room(socket_id: str) -> bytes:
    auth = channel_auth(APP["key"], APP["secret"], socket_id, ROOM)
    return message("pusher:subscribe", {"channel": ROOM, "auth": auth})


def _big(size: int) -> Callable[[], bytes]:
    piece = frame(b'{"event":"pusher:ping","data":"' + b"x" * size + b'"}')
    return lambda: piece


ATTACKS: dict[str, Attack] = {
    "publish-unsigned": Attack("pipelined publishes without a signature", lambda: UNSIGNED * 500),
    "publish-signed": Attack("pipelined publishes, signed", lambda: publish() * 200),
    "publish-many": Attack("the same, each to 100 channels", lambda: publish([f"nobody-{n}" for n in range(100)]) * 20),
    "publish-unread": Attack("the same, and reads no answer", lambda: publish() * 200, reads=False),
    "publish-change": Attack(
        "publishes, then another route, and reads no answer", lambda: UNSIGNED * 500 + STRANGE, reads=False
    ),
    "publish-dripped": Attack(
        "a 10 MB body, byte by byte",
        lambda: b"x",
        lambda _: b"POST /apps/1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n" + b"x" * 9_000_000,
    ),
    "http": Attack("pipelined requests of the other routes", lambda: STRANGE * 500),
    "http-nowhere": Attack("pipelined requests that lead nowhere", lambda: request("GET /nowhere") * 500),
    "http-head": Attack("heads that never end", lambda: b"X: y\r\n", lambda _: b"GET / HTTP/1.1\r\n", pause_s=0.01),
    "frames-short": Attack("seven-byte frames without sense", lambda: frame(b"{") * 2000, is_client=True),
    "frames-empty": Attack("pings of six bytes", lambda: frame(b"", 9) * 2000, is_client=True),
    "frames-fragments": Attack(
        "messages in fragments of one byte",
        lambda: frame(b"{", 1, False) + frame(b" ", 0, False) * 500 + frame(b"}", 0),
        is_client=True,
    ),
    "frames-unread": Attack(
        "pings, and reads no pong", lambda: frame(b"x" * 100, 9) * 500, is_client=True, reads=False
    ),
    "messages-ping": Attack("pusher:ping", lambda: message("pusher:ping", {}) * 500, is_client=True),
    "messages-big": Attack("messages of 60 kB", _big(60_000), is_client=True),
    "messages-wrong": Attack(
        "subscriptions with a wrong signature",
        lambda: message("pusher:subscribe", {"channel": ROOM, "auth": "app-key:" + "0" * 64}) * 200,
        is_client=True,
    ),
    "joins": Attack("joins of ever new channels", lambda: _joins(churn=False), is_client=True),
    "churn": Attack("joins and leaves of ever new channels", lambda: _joins(churn=True), is_client=True),
    "events": Attack(
        "client events to each other",
        lambda: message("client-e", "x" * 200, channel=ROOM) * 200,
        _in_room,
        is_client=True,
    ),
    "events-unread": Attack(
        "the same, and nobody of them reads",
        lambda: message("client-e", "x" * 2000, channel=ROOM) * 50,
        _in_room,
        is_client=True,
        reads=False,
    ),
    "connects": Attack("comes and goes as a client", is_client=True, comes_again=True),
    "refused": Attack("comes with an unknown key", lambda: b"", lambda _: HANDSHAKE % b"nobody", comes_again=True),
    "sockets": Attack("comes and says nothing", comes_again=True),
}
