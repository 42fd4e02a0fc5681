"""Accepts connections on a port where balancers speak the PROXY protocol, and reads its header before anything else.

The header is taken off the socket byte for byte, so that TLS or HTTP begins with what follows it. Never looks at the
connection's own bytes, which are for the gate, nor at what a client says of itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from engine.config.addresses import BACKLOG
from engine.http.connection import CLOSE_TIMEOUT_S, HEAD_TIMEOUT_S
from engine.log.notices import Notices
from engine.protocol.address import Networks, of_peer
from engine.protocol.proxy_header import ProxyHeaderError, begins, read_header
from engine.tasks import serve

#: Connections accepted in one turn of the loop.
MAX_AT_ONCE = 64
#: Pause after the process or the machine had no descriptor or memory for one more.
PAUSE_S = 1.0
#: Looked at in one go of what has come; of somebody who may send no header less is enough.
_LOOK_BYTES, _GLANCE_BYTES = 4096, 16

_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_MISSING = (
    "a connection from %s, which `proxy_protocol.trusted` names, was ended: %s. Have the balancer there send the PROXY"
    " protocol's header, its health checks too (HAProxy: send-proxy-v2 check-send-proxy), or take the address out"
)
_UNTRUSTED = (
    "a connection from %s was ended: it began with the PROXY protocol's header. If that is a balancer of yours, name it"
    " in `proxy_protocol.trusted`"
)

_log = logging.getLogger(__name__)


class Waiting(Protocol):
    """Somebody whose time is up when he has not said who he is."""

    def abort(self) -> None: ...


class Port(Protocol):
    """What the listener does for those who come."""

    def undecided(self, gate: Waiting) -> None: ...

    def decided(self, gate: Waiting) -> None: ...

    def full(self) -> bool: ...


class ProxyPort:
    """Accepts from one socket.

    :param trusted: who has to send a header.
    :param make: the protocol of a connection from this address; None where that is the peer's own.
    :param count_refusal: called for each connection that is ended for its header.
    """

    def __init__(
        self,
        listening: socket.socket,
        port: Port,
        trusted: Networks,
        make: Callable[[str | None], asyncio.Protocol],
        tls: ssl.SSLContext | None,
        count_refusal: Callable[[], None],
    ) -> None:
        self._listening = listening
        self._port = port
        self._trusted = trusted
        self._make = make
        self._tls = tls
        self._count_refusal = count_refusal
        self._notices = Notices(_log)
        self._timer: asyncio.TimerHandle | None = None
        self._opening: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._listening.setblocking(False)
        self._listening.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Accept no more; those who were accepted go on."""
        if self._timer is not None:
            self._timer.cancel()
        asyncio.get_running_loop().remove_reader(self._listening)
        self._listening.close()

    def _accept(self) -> None:
        for _ in range(MAX_AT_ONCE):
            try:
                sock, peername = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._pause()
                    return
                continue  # it was reset while it waited
            sock.setblocking(False)
            if self._port.full():
                sock.close()
                continue
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = of_peer(peername)
            newcomer = _Newcomer(sock, peer, self._trusted.hold(peer), self)
            self._port.undecided(newcomer)
            newcomer.wait()

    def _pause(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        self._timer = loop.call_later(PAUSE_S, loop.add_reader, self._listening, self._accept)

    # --- called by those who have come

    def gone(self, newcomer: _Newcomer) -> None:
        self._port.decided(newcomer)

    def refuse(self, newcomer: _Newcomer, reason: str | None) -> None:
        """:param reason: what is wrong with the header that had to come; None where none may come."""
        self._count_refusal()
        peer = newcomer.peer or "the Unix socket"
        text = _UNTRUSTED % peer if reason is None else _MISSING % (peer, reason)
        self._notices.note(logging.INFO, "untrusted" if reason is None else reason, text)

    def open(self, newcomer: _Newcomer, source: str | None) -> None:
        """What follows is the connection's own."""
        self._port.undecided(newcomer)  # with a time of its own for what comes now
        task = serve(self._open(newcomer, source), "proxy-protocol", newcomer.sock.close)
        self._opening.add(task)
        newcomer.opening = task
        task.add_done_callback(self._opening.discard)

    async def _open(self, newcomer: _Newcomer, source: str | None) -> None:
        tls = self._tls
        try:
            # What a client does wrong in a handshake is nobody's fault here, as with the loop's own accepting.
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: self._make(source),
                    newcomer.sock,
                    ssl=tls,
                    ssl_handshake_timeout=HEAD_TIMEOUT_S if tls else None,
                    ssl_shutdown_timeout=CLOSE_TIMEOUT_S if tls else None,
                )
        finally:
            self._port.decided(newcomer)


class _Newcomer:
    """A connection whose header is being read. :ivar opening: what turns it into one with a protocol."""

    __slots__ = ("_data", "_port", "_trusted", "opening", "peer", "sock")

    def __init__(self, sock: socket.socket, peer: str, trusted: bool, port: ProxyPort) -> None:
        self.sock = sock
        self.peer = peer
        self._trusted = trusted
        self._port = port
        self._data = b""
        self.opening: asyncio.Task[None] | None = None

    def wait(self) -> None:
        asyncio.get_running_loop().add_reader(self.sock, self._look)

    def abort(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
        else:
            self._end()

    def _look(self) -> None:
        try:
            seen = self.sock.recv(_LOOK_BYTES if self._trusted else _GLANCE_BYTES, socket.MSG_PEEK)
            if not seen:
                self._end()
            elif self._trusted:
                self._read(seen)
            elif begins(seen):
                self._port.refuse(self, None)
                self._end()
            else:
                self._open(None)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._end()

    def _read(self, seen: bytes) -> None:
        data = self._data + seen
        try:
            header = read_header(data)
        except ProxyHeaderError as error:
            self._port.refuse(self, f"the PROXY protocol's header is missing or wrong: {error}")
            self._end()
            return
        if header is None:
            self._data += self.sock.recv(len(seen))
        else:
            self.sock.recv(header.size - len(self._data))
            self._open(header.source)

    def _open(self, source: str | None) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self._data = b""
        self._port.open(self, source)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self.sock)
        self.sock.close()
        self._port.gone(self)
