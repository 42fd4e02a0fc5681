"""A server that speaks just enough Pusher for the load client, and delivers each event as often as it is told to."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

GREETING = b'{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"1.1\\",\\"activity_timeout\\":120}"}'
SUBSCRIBED = b'{"event":"pusher_internal:subscription_succeeded","channel":"bench-0","data":"{}"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Careless:
    """:param copies: by the event's number, how often it is delivered."""

    def __init__(self, listener: socket.socket, copies: dict[int, int]) -> None:
        self._listener = listener
        self._copies = copies
        self._subscribers: list[socket.socket] = []
        self._times_seen: dict[int, int] = {}

    def serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connection, args=(sock,), daemon=True).start()

    def _connection(self, sock: socket.socket) -> None:
        with sock:
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(4096)
            if data.startswith(b"GET "):
                sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + _frame(GREETING))
                sock.recv(4096)
                self._subscribers.append(sock)
                sock.sendall(_frame(SUBSCRIBED))
                while sock.recv(4096):
                    pass
                return
            while True:
                head, _, rest = data.partition(b"\r\n\r\n")
                length = int(re.search(rb"Content-Length: (\d+)", head)[1])  # type: ignore[index]
                while len(rest) < length:
                    rest += sock.recv(4096)
                self._publish(rest[:length])
                sock.sendall(ANSWER)
                data = rest[length:]
                while b"\r\n\r\n" not in data:
                    got = sock.recv(4096)
                    if not got:
                        return
                    data += got

    def _publish(self, body: bytes) -> None:
        number = int(re.search(rb"seq\D*(\d+)", body)[1])  # type: ignore[index]
        first = number not in self._times_seen
        self._times_seen[number] = self._times_seen.get(number, 0) + 1
        for subscriber in self._subscribers:
            subscriber.sendall(_frame(body) * (self._copies.get(number, 1) if first else 1))


@contextmanager
def careless(copies: dict[int, int]) -> Iterator[int]:
    """Its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=Careless(listener, copies).serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _frame(payload: bytes) -> bytes:
    if len(payload) < 126:
        return bytes((0x81, len(payload))) + payload
    return b"\x81\x7e" + struct.pack(">H", len(payload)) + payload
