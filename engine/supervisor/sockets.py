"""Listening sockets, those of each worker slot, opened and kept by the supervisor.

Those of one port bind the same address with SO_REUSEPORT, so the kernel spreads new connections; a socket outlives its
worker, so what waits in its backlog is served by the next one. Nothing is ever accepted here.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from dataclasses import dataclass, field

from engine.config.addresses import BACKLOG, api_url, server_url
from engine.config.root import Config
from engine.errors import ConfigError

_FIRST_FD = 3


@dataclass(frozen=True, slots=True)
class Listening:
    """One socket as one slot has it.

    :param api: for the HTTP API only. :param shared: every slot has the same one.
    :param kept: it is the service manager's, who goes on listening.
    """

    sock: socket.socket
    api: bool = False
    shared: bool = False
    kept: bool = False


@dataclass(slots=True)
class Ports:
    """:ivar slots: what each of them listens on. :ivar where: for people. :ivar api_where: the same of the API's own
    addresses. :ivar paths: files to be removed once nobody is to come any more.
    """

    slots: list[list[Listening]]
    where: str
    api_where: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether clients can go on connecting while nothing runs here."""
        return any(mine.kept for slot in self.slots for mine in slot)

    def close(self) -> None:
        for slot in self.slots:
            for mine in slot:
                mine.sock.close()

    def unlink(self) -> None:
        """Once only: the next process may listen there before this one has ended."""
        while self.paths:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.paths.pop())


def open_ports(config: Config, slots: int) -> Ports:
    """What the configuration says, or the service manager has opened. Raises ConfigError.

    To be called as early as can be: clients that come back while the engine starts wait then, instead of being refused.
    """
    with contextlib.ExitStack() as undo:
        ports = _main(config, slots)
        undo.callback(ports.unlink)
        undo.callback(ports.close)
        _add_api(ports, config)
        undo.pop_all()
    return ports


def paths_of(config: Config, *, kept: bool) -> list[str]:
    """Files of listening sockets that are ours to remove. :param kept: the main port is the service manager's."""
    found = [config.unix_socket.path] if config.unix_socket.enabled and not kept else []
    return found if config.http_api.unix_socket is None else [*found, config.http_api.unix_socket]


def _main(config: Config, slots: int) -> Ports:
    inherited = from_service_manager()
    if inherited:
        mine = [Listening(sock, shared=True, kept=True) for sock in inherited]
        return Ports([mine] * slots, server_url(config, config.port))
    if config.unix_socket.enabled:
        path = config.unix_socket.path
        one = Listening(open_unix(path, config.unix_socket.permission_mode, "unix_socket.path"), shared=True)
        return Ports([[one] for _ in range(slots)], f"unix:{path}", paths=[path])
    opened = open_tcp(config.host, config.port, slots)
    return Ports([[Listening(sock)] for sock in opened], server_url(config, opened[0].getsockname()[1]))


def _add_api(ports: Ports, config: Config) -> None:
    api = config.http_api
    if api.port is not None:
        opened = open_tcp(api.host or config.host, api.port, len(ports.slots), "http_api.")
        ports.slots = [[*slot, Listening(sock, api=True)] for slot, sock in zip(ports.slots, opened, strict=True)]
        ports.api_where.append(api_url(config, opened[0].getsockname()[1]))
    if api.unix_socket is not None:
        one = Listening(open_unix(api.unix_socket, api.unix_socket_mode, "http_api.unix_socket"), api=True, shared=True)
        ports.slots = [[*slot, one] for slot in ports.slots]
        ports.api_where.append(f"unix:{api.unix_socket}")
        ports.paths.append(api.unix_socket)


def open_tcp(host: str, port: int, slots: int, section: str = "") -> list[socket.socket]:
    """One listening socket for each slot. Raises ConfigError when the address cannot be had for ourselves.

    :param section: of the options, with a dot at its end."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"{section}host: {host!r} is no address of this machine: {error.strerror}") from error
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
        raise ConfigError(f"{section}port: {port} on {host} cannot be used: {os.strerror(error.errno or 0)}") from error
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


def open_unix(path: str, mode: str, option: str) -> socket.socket:
    """The Unix socket that all workers accept from. Raises ConfigError, which names the option."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if os.path.lexists(path):
            _make_way(path, option)
        sock.bind(path)
        os.chmod(path, int(mode, 8))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"{option}: {path} cannot be used: {error.strerror or error}") from error
    except ConfigError:
        sock.close()
        raise
    return sock


def _make_way(path: str, option: str) -> None:
    """Remove what an engine that was killed has left; nothing else."""
    if not stat.S_ISSOCK(os.lstat(path).st_mode):
        raise ConfigError(f"{option}: {path} is there already and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        if probe.connect_ex(path) == 0:
            raise ConfigError(f"{option}: {path} is in use by a running server")
    os.unlink(path)


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
