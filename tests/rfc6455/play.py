"""Plays a case against a server of the Pusher protocol; blocking, since a case is one exchange."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from tests.rfc6455.cases import GOODBYE, Case

HEAD = (
    "GET /app/{} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TIMEOUT_S = 20.0


def play(case: Case, host: str, port: int, key: str) -> str:
    """What is not as it should be; "" if all is."""
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.sendall(HEAD.format(key).encode())
        data = b""
        # The first frame of the Pusher protocol is no part of the case.
        while b"activity_timeout" not in data:
            part = peer.recv(65536)
            if not part:
                return f"no handshake: {data[:60]!r}"
            data += part
        data = data.partition(b"\r\n\r\n")[2]
        sent = case.sent + GOODBYE
        try:
            for at in range(0, len(sent), case.pieces or len(sent)):
                peer.sendall(sent[at : at + (case.pieces or len(sent))])
        except (BrokenPipeError, ConnectionResetError):
            pass  # it was refused before its end
        while True:
            try:
                part = peer.recv(65536)
            except ConnectionResetError:
                break
            except TimeoutError:
                return "the connection is not ended"
            if not part:
                break
            data += part
    return _judge(case, list(_frames(data))[1:])


def _judge(case: Case, frames: list[tuple[int, bytes]]) -> str:
    pongs = tuple(payload for first, payload in frames if first == 0x8A)
    answers = [payload for first, payload in frames if first == 0x81 and b"pusher:pong" in payload]
    closes = [int.from_bytes(payload[:2]) for first, payload in frames if first == 0x88]
    if pongs != case.pongs:
        return f"pongs {pongs!r}"
    if len(answers) != case.understood:
        return f"{len(answers)} answers"
    if closes != [case.close]:
        return f"close frames {closes}"
    return "" if frames[-1][0] == 0x88 else "something behind the close frame"


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        size, skip = data[1], 2
        if size == 126:
            size, skip = int.from_bytes(data[2:4]), 4
        elif size == 127:
            size, skip = int.from_bytes(data[2:10]), 10
        yield data[0], data[skip : skip + size]
        data = data[skip + size :]
