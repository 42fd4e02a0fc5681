"""A TCP proxy in threads of its own that does to connections what balancers, firewalls and dying machines do.

Used as ``with BadProxy(port) as proxy``; `mode` may be changed at any time, and breaks the connections that stand.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, get_args

import pytest

from tests.support.waiting import PATIENCE_S, until

#: `unanswered` and `late` end a connection whose last command is done all the same: before its end, or after it.
Mode = Literal["carry", "cut", "reset", "half-close", "delay", "garbage", "mid-reply", "unanswered", "late"]
#: Those that do harm, each in its own way to who asks.
BAD: tuple[Mode, ...] = tuple(mode for mode in get_args(Mode) if mode not in ("carry", "unanswered", "late"))
GARBAGE = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"


class BadProxy:
    """:param delay_s: how late an answer is.
    :param only: harms no connection until it has sent this word.

    :ivar port: where it listens, on 127.0.0.1. :ivar broken: how often it has done harm.
    """

    def __init__(self, target_port: int, delay_s: float = 0.3, only: bytes = b"") -> None:
        self._target = target_port
        self._delay_s = delay_s
        self._only = only
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self.broken = 0
        self._mode: Mode = "carry"
        #: Connections that may be harmed.
        self._standing: set[socket.socket] = set()

    @property
    def mode(self) -> Mode:
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._mode = mode
        for client in list(self._standing):
            self.broken += 1
            with contextlib.suppress(OSError):
                # Ends both threads' waits; what becomes of the socket is up to the mode.
                client.shutdown(socket.SHUT_RD)

    def __enter__(self) -> BadProxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.mode = "cut"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        if not self._only:
            self._standing.add(client)
        try:
            with client, contextlib.suppress(OSError):
                if self._mode_of(client) in ("cut", "reset"):
                    self.broken += 1
                    self._end(client)
                else:
                    with socket.create_connection(("127.0.0.1", self._target), timeout=5) as server:
                        self._carry(client, server)
                        self._end(client)
        finally:
            self._standing.discard(client)

    def _mode_of(self, client: socket.socket) -> Mode:
        return self._mode if client in self._standing else "carry"

    def _carry(self, client: socket.socket, server: socket.socket) -> None:
        while True:
            for end in select.select([client, server], [], [])[0]:
                data = end.recv(65536)
                if not data:
                    return
                if end is client and self._only in data:
                    self._standing.add(client)
                mode = self._mode_of(client)
                if end is client and mode == "garbage":
                    self.broken += 1
                    client.sendall(GARBAGE)
                elif end is client and mode == "late":
                    self.broken += 1
                    client.shutdown(socket.SHUT_RDWR)
                    time.sleep(self._delay_s)
                    server.sendall(data)
                    return
                elif end is client:
                    server.sendall(data)
                elif mode == "unanswered":
                    self.broken += 1
                    time.sleep(self._delay_s)
                    return
                elif mode == "mid-reply":
                    self.broken += 1
                    client.sendall(data[: len(data) // 2])
                    return
                elif mode == "half-close":
                    self.broken += 1
                    client.shutdown(socket.SHUT_WR)
                    client.settimeout(self._delay_s)
                    client.recv(65536)
                    return
                else:
                    if mode == "delay":
                        self.broken += 1
                        time.sleep(self._delay_s)
                    client.sendall(data)

    def _end(self, client: socket.socket) -> None:
        if self._mode_of(client) == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def endured(proxy: BadProxy, mode: Mode, call: Callable[[], Awaitable[object]], error: type[Exception]) -> None:
    """Have `call` meet this; it ends in time and with no error but this one, and afterwards works as before.

    What is only slow may be waited for.
    """

    async def works() -> bool:
        try:
            await call()
        except error:
            return False
        return True

    await call()
    before = proxy.broken
    proxy.mode = mode
    async with asyncio.timeout(PATIENCE_S):
        # The first may have had the connection of before.
        for _ in range(2):
            if mode == "delay":
                await works()
            else:
                with pytest.raises(error):
                    await call()
    assert proxy.broken > before + 1
    proxy.mode = "carry"
    # A connection that was broken unnoticed may cost one call.
    await until(works, what="a call that works")
