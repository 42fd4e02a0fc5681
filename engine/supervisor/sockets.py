"""Listening sockets, one for each worker slot, opened and kept by the supervisor.

All bind the same address with SO_REUSEPORT, so the kernel spreads new connections; a socket outlives its worker, so
what waits in its backlog is served by the next one. Nothing is ever accepted here.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from engine.config.addresses import server_url
from engine.config.root import Config
from engine.config.server import UnixSocketConfig
from engine.control import BACKLOG
from engine.errors import ConfigError

_FIRST_FD = 3


@dataclass(slots=True)
class Port:
    """:ivar listening: sockets of each slot. :ivar shared: they are the same for all slots.
    :ivar kept: they are the service manager's, who goes on listening. :ivar where: for people.
    """

    listening: list[list[socket.socket]]
    where: str
    shared: bool = False
    kept: bool = False

    def close(self) -> None:
        for mine in self.listening:
            for sock in mine:
                sock.close()


def open_port(config: Config, slots: int) -> Port:
    """What the configuration says, or the service manager has opened. Raises ConfigError.

    To be called as early as can be: clients that come back while the engine starts wait then, instead of being refused.
    """
    inherited = from_service_manager()
    if inherited:
        return Port([inherited] * slots, server_url(config, config.port), shared=True, kept=True)
    if config.unix_socket.enabled:
        return Port([[open_unix(config.unix_socket)]] * slots, f"unix:{config.unix_socket.path}", shared=True)
    opened = open_tcp(config.host, config.port, slots)
    return Port([[sock] for sock in opened], server_url(config, opened[0].getsockname()[1]))


def open_tcp(host: str, port: int, slots: int) -> list[socket.socket]:
    """One listening socket for each slot. Raises ConfigError when the address cannot be had for ourselves."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"host: {host!r} is no address of this machine: {error.strerror}") from error
    sockets: list[socket.socket] = []
    try:
        # Without SO_REUSEPORT first: it would share the port with another engine that happens to run here.
        with _bound(family, kind, protocol, address, shared=False) as probe:
            address = probe.getsockname()
        for _ in range(slots):
            sock = _bound(family, kind, protocol, address, shared=True)
            sock.listen(BACKLOG)
            sockets.append(sock)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise ConfigError(f"port: {port} on {host} cannot be used: {os.strerror(error.errno or 0)}") from error
    return sockets


def from_service_manager() -> list[socket.socket]:
    """The listening sockets that systemd has opened for this process (sd_listen_fds(3)); none without it."""
    number, pid = os.environ.pop("LISTEN_FDS", ""), os.environ.pop("LISTEN_PID", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not number.isdecimal():
        return []
    found = [socket.socket(fileno=fd) for fd in range(_FIRST_FD, _FIRST_FD + int(number))]
    for sock in found:
        sock.set_inheritable(False)
    return found


def open_unix(config: UnixSocketConfig) -> socket.socket:
    """The Unix socket that all workers accept from. Raises ConfigError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.exists(config.path):
            if _answers(config.path):
                raise ConfigError(f"unix_socket.path: {config.path} is in use by a running server")
            os.unlink(config.path)
        sock.bind(config.path)
        os.chmod(config.path, int(config.permission_mode, 8))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"unix_socket.path: {config.path} cannot be used: {error.strerror}") from error
    except ConfigError:
        sock.close()
        raise
    return sock


def _bound(family: int, kind: int, protocol: int, address: object, *, shared: bool) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)  # type: ignore[arg-type]
    except OSError:
        sock.close()
        raise
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(path) == 0
