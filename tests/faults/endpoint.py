"""A webhook endpoint that is bad in a way no web server is, in threads of its own; `well` again it takes everything."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import Literal

Kind = Literal["well", "refuses", "garbage", "drips", "endless", "redirects", "resets"]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
PIECE = b"x" * 65536


class BadEndpoint:
    """:ivar asked: how many connections came while it was bad."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.kind: Kind = "well"
        self.asked = 0
        self._ended = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self) -> None:
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        self._ended, self.kind = True, "well"
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            kind = self.kind
            self.asked += kind != "well"
            if kind in ("refuses", "resets"):
                # At once, or after the request was read.
                if kind == "resets":
                    self._read(connection)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return
            self._read(connection)
            match kind:
                case "garbage":
                    connection.sendall(b"\x16\x03\x01 this is no HTTP \r\n\r\n\r\n")
                case "redirects":
                    connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")
                case "drips":
                    self._send_while(kind, connection, b"X", 0.1, b"HTTP/1.1 200 OK\r\nX-Long: ")
                case "endless":
                    self._send_while(kind, connection, PIECE, 0.0, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
                case _:
                    connection.sendall(OK)

    def _send_while(self, kind: Kind, connection: socket.socket, piece: bytes, every_s: float, head: bytes) -> None:
        connection.sendall(head)
        while self.kind == kind:
            connection.sendall(piece)
            time.sleep(every_s)

    @staticmethod
    def _read(connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (got := connection.recv(65536)):
                return
            data += got
        head, _, body = data.partition(b"\r\n\r\n")
        lines = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        left = int(lines[0][15:]) - len(body) if lines else 0
        while left > 0 and (got := connection.recv(65536)):
            left -= len(got)
