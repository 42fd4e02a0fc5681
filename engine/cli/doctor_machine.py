"""What `doctor` asks of the machine: files, kernel, memory, ports, certificate, and secrets that everybody knows.

Reads and tries only; it changes nothing and leaves nothing open.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.app import App
from engine.cli.finding import Finding
from engine.config.addresses import command_address
from engine.config.certificate import Certificate
from engine.config.loading.known_secrets import KNOWN, MAKE_ONE
from engine.config.root import Config
from engine.machine.memory import Memory, memory

#: Below it a worker serves few clients; from the other on nothing is said.
FILES_MIN, FILES_GOOD = 1024, 65_536
MEMORY_FULL_PERCENT, MEMORY_SMALL_BYTES = 90, 256 * 1024 * 1024
TRACKED_FULL = 0.8
EXPIRES_SOON_S = 14 * 86_400
#: To begin a conversation with an engine that runs.
ASK_TIMEOUT_S = 2.0


def files_limit(engine: int) -> int:
    """:param engine: process id of one that runs; 0 for one that would be started here."""
    try:
        # It has raised its own as far as it may.
        return resource.prlimit(engine, resource.RLIMIT_NOFILE)[0 if engine else 1]
    except OSError:  # another user's, or gone
        return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def files(limit: int) -> Finding:
    """:param limit: of one worker."""
    if limit == resource.RLIM_INFINITY or limit >= FILES_GOOD:
        return Finding("ok", "open files", "unlimited" if limit == resource.RLIM_INFINITY else f"{limit} a worker")
    text = f"a worker may open {limit}, so it serves fewer clients than that"
    remedy = "LimitNOFILE=1048576 in the unit, ulimits.nofile in compose, or /etc/security/limits.conf"
    return Finding("problem" if limit < FILES_MIN else "warning", "open files", text, remedy)


def kernel(backlog: int, proc: Path = Path("/proc/sys/net")) -> Iterator[Finding]:
    """Queues of newcomers, and the table of connections of a packet filter.

    :param backlog: that the engine asks for.
    """
    queue = _number(proc / "core" / "somaxconn")
    if queue is not None and queue < backlog:
        text = f"{queue} connections wait to be accepted at most, and the engine asks for {backlog}"
        yield Finding("warning", "kernel", text, f"sysctl -w net.core.somaxconn={backlog}: many come back at once")
    elif queue is not None:
        yield Finding("ok", "kernel", f"net.core.somaxconn is {queue}")
    used, most = (_number(proc / "netfilter" / f"nf_conntrack_{name}") for name in ("count", "max"))
    if used is not None and most and used >= TRACKED_FULL * most:
        text = (
            f"{used} of {most} connections that the packet filter can follow are in its table; then it drops new ones"
        )
        yield Finding("problem", "kernel", text, f"sysctl -w net.netfilter.nf_conntrack_max={most * 4}")


def room(found: Memory | None = None, engine: int = 0) -> Finding:
    """:param found: instead of the fullest of machine and container.
    :param engine: process id of one that runs, whose limit it is; 0 for one that would be started here.
    """
    found = found or memory(proc=Path(f"/proc/{engine or 'self'}/cgroup"))
    text = f"{found.percent:g} % of {found.total // 2**20} MiB are in use"
    if found.total < memory(proc=Path(os.devnull)).total:
        text += ", the limit of a container or a service"
    if found.percent >= MEMORY_FULL_PERCENT:
        return Finding("problem", "memory", text, "give the machine or the container more, or start fewer workers")
    if found.total < MEMORY_SMALL_BYTES:
        return Finding("warning", "memory", text, "a worker takes about 60 MiB before it has clients")
    return Finding("ok", "memory", text)


def engine_of(config: Config) -> int:
    """Process id of the engine that runs on this machine with this configuration; 0 for none."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(ASK_TIMEOUT_S)
        if asked.connect_ex(command_address(config)) != 0:
            return 0
        pid, _, _ = struct.unpack("3i", asked.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
        return int(pid)


def ports(config: Config, *, running: bool) -> Iterator[Finding]:
    """Whether they can be had, where no engine has them already."""
    wanted = [] if config.unix_socket.enabled else [("port", config.host, config.port)]
    if config.http_api.port is not None:
        wanted.append(("http_api.port", config.http_api.host or config.host, config.http_api.port))
    if config.metrics.enabled:
        wanted.append(("metrics.port", config.metrics.host, config.metrics.port))
    # The console takes any free one for 0.
    if config.console.password and config.console.port:
        wanted.append(("console.port", config.console.host, config.console.port))
    for name, host, port in wanted:
        if running:
            yield Finding("ok", name, f"{port} is an engine's that runs with this configuration")
            continue
        error = _bind_error(host, port)
        if error is None:
            yield Finding("ok", name, f"{port} on {host} is free")
            continue
        remedy = {
            errno.EADDRINUSE: f"another program listens there (ss -ltnp 'sport = :{port}'); end it, or change {name}",
            errno.EACCES: f"ports below 1024 need AmbientCapabilities=CAP_NET_BIND_SERVICE, or another {name}",
        }.get(error.errno or 0, "the address must be one of this machine")
        yield Finding("problem", name, f"{port} on {host} cannot be used: {error.strerror}", remedy)


def certificate(found: Certificate | None, now_s: float | None = None) -> Iterator[Finding]:
    """Nothing without TLS; that the pair fits was found when the configuration was read."""
    expires = None if found is None else found.expires_at()
    if expires is None:
        return
    yield expiry("certificate", expires, time.time() if now_s is None else now_s)


def expiry(check: str, expires_s: float, now_s: float) -> Finding:
    """How long a certificate is valid still."""
    days = int((expires_s - now_s) // 86_400)
    if expires_s <= now_s:
        remedy = "renew it; SIGHUP has a running engine show the new one"
        return Finding("problem", check, f"it has expired {-days} days ago", remedy)
    if expires_s - now_s < EXPIRES_SOON_S:
        return Finding("warning", check, f"it expires in {days} days", "renew it, and SIGHUP the engine")
    return Finding("ok", check, f"valid for {days} days")


def secrets(config: Config, apps: Sequence[App], *, public: bool) -> Finding:
    """:param public: it is served at an address that was given, whatever the engine listens on."""
    known = [app.id for app in apps if app.secret in KNOWN]
    if not known:
        return Finding("ok", "secrets", "none that everybody knows")
    text = f"application {', '.join(known)} has a secret that everybody knows"
    # Who knows a secret needs the API to use it, and joins any channel of clients by it.
    hosts = [] if config.unix_socket.enabled else [config.host]
    if config.http_api.port is not None:
        hosts.append(config.http_api.host or config.host)
    local = all(host in ("localhost", "127.0.0.1", "::1") for host in hosts)
    if local and not public:
        return Finding("warning", "secrets", f"{text}; only this machine can reach it", MAKE_ONE)
    return Finding("problem", "secrets", f"{text}, and others can reach it", MAKE_ONE)


def _bind_error(host: str, port: int) -> OSError | None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def writable(folder: Path) -> Finding:
    """Where the embedded Valkey keeps its data; the nearest folder that there is already decides."""
    there = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path("/"))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding("ok", "redis", f"the engine starts a Valkey of its own, with its data in {folder}")
    remedy = f"chown it to the engine's user, or change database.redis.embedded.data_dir, which is {folder}"
    return Finding("problem", "redis", f"{there} cannot be written to by this user", remedy)
