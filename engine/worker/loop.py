"""The event loop of a worker: uvloop's, with one rule about sockets that are handed over to it.

Everything of a worker that connects to somewhere goes through it, libraries included. It must know none of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvloop


class Loop(uvloop.Loop):
    """A socket that is handed over belongs to the loop, whatever becomes of the connection.

    uvloop closes the descriptor of ``sock`` together with the transport. When the transport ends before
    `create_connection` has returned, as it does when a peer breaks off while TLS begins, uvloop up to 0.23 leaves the
    number in the Python socket, which closes it once more when it is collected. By then the number may be that of a
    client's connection. aiohttp (hence webhooks, Lambda and SQS) and aiomysql hand their sockets over.
    """

    async def create_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        host: Any = None,
        port: Any = None,
        *,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """As asyncio's, but that `sock` is detached at once: its owner can close nothing with it any more."""
        if sock is None:
            return await super().create_connection(protocol_factory, host, port, **options)
        with _HandedOver(sock) as handed_over:
            return await super().create_connection(protocol_factory, host, port, sock=handed_over, **options)

    async def create_unix_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        path: Any = None,
        *,
        sock: socket.socket | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        """As `create_connection`."""
        if sock is None:
            return await super().create_unix_connection(protocol_factory, path, **options)
        with _HandedOver(sock) as handed_over:
            return await super().create_unix_connection(protocol_factory, path, sock=handed_over, **options)


class _HandedOver(socket.socket):
    """Closes its descriptor unless uvloop has asked for it: from then on uvloop closes it."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.family, sock.type, sock.proto, fileno=sock.detach())
        self._asked_for = False

    def fileno(self) -> int:
        self._asked_for = True
        return super().fileno()

    def __exit__(self, *_: object) -> None:
        if self._asked_for:
            self.detach()
        else:
            self.close()
