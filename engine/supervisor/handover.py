"""What a supervisor leaves to the next program of its own process: exec keeps pid, children and descriptors.

Written to a file in memory whose descriptor the next program finds in an environment variable. Both may be of different
versions, so it is JSON with a number for its form, and a trial in another process reads it before anything is replaced.
Never holds a secret.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import socket
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from engine.adapter.shared_memory_files import ARENA_BYTES, PLACES, LogFiles
from engine.config.loading.known_secrets import exposes
from engine.config.loading.load import Loaded
from engine.config.root import Config
from engine.errors import ConfigError
from engine.supervisor.sockets import Listening, Ports, paths_of

#: Of this file and of what workers share; another one cannot be taken over.
FORM = f"1/{PLACES}/{ARENA_BYTES}"
#: The descriptor of the file, for the program that takes over, and for one that only tries whether it could.
VARIABLE, TRIAL = "ENGINE_HANDOVER", "ENGINE_HANDOVER_TRIAL"
#: They must not end a program that has no handlers yet.
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)


@dataclass(slots=True)
class Handover:
    """:param listening: descriptors for each slot. :param kept: they are the service manager's, kept by it.
    :param page: of the metrics page, or -1. :param console: of the console, likewise.
    :param log: of the log that workers share.
    :param valkey: `EmbeddedValkey.give`. :param state: what the state is kept in, as `state_of` has it.
    :param workers: slot, place, pid, control, incarnation and spec of each. :param asker: who is to be answered, or -1.
    :param api: which descriptors of `listening` are for the HTTP API only. :param api_address: what
        `api_address_of` gave. :param traces: `Traces.give`.
    :param host: on which it listens. :param file: of the configuration, if any.
    """

    listening: list[list[int]]
    kept: bool
    where: str
    metrics_dir: str
    page: int
    log: dict[str, Any] | None
    valkey: dict[str, Any] | None
    state: list[Any]
    workers: list[dict[str, Any]] = field(default_factory=list)
    spec: int = 1
    console: int = -1
    asker: int = -1
    api: list[int] = field(default_factory=list)
    api_where: list[str] = field(default_factory=list)
    api_address: list[Any] = field(default_factory=lambda: [None, None, None])
    traces: list[dict[str, Any]] = field(default_factory=list)
    host: str = ""
    file: str | None = None
    form: str = FORM

    def save(self) -> int:
        """A descriptor of it, which children and the next program inherit."""
        fd = os.memfd_create("engine-handover", 0)
        with open(fd, "w", closefd=False) as file:
            json.dump(asdict(self), file)
        return fd

    def become(self) -> NoReturn:
        """Replace this program by what lies on the disk now, with the same command line."""
        for fd in self._fds():
            os.set_inheritable(fd, True)
        os.environ[VARIABLE] = str(self.save())
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])

    def ports(self, config: Config) -> Ports:
        """Its listening sockets."""
        count = Counter(fd for slot in self.listening for fd in slot)
        # Made once each: a second one of the same descriptor would close it when it is forgotten.
        known = {fd: socket.socket(fileno=fd) for fd in count}
        slots = [
            [Listening(known[fd], fd in self.api, count[fd] > 1, self.kept and fd not in self.api) for fd in slot]
            for slot in self.listening
        ]
        return Ports(slots, self.where, self.api_where, paths_of(config, kept=self.kept))

    @property
    def log_files(self) -> LogFiles | None:
        if self.log is None:
            return None
        return LogFiles(self.log["memory"], tuple(self.log["wakers"]), self.log["arena_bytes"])

    def _fds(self) -> list[int]:
        found = [fd for slot in self.listening for fd in slot]
        found += [worker["control"] for worker in self.workers]
        found += [trace["lines"] for trace in self.traces]
        found += [fd for fd in (self.page, self.console, self.asker) if fd >= 0]
        if self.log is not None:
            found += [self.log["memory"], *self.log["wakers"]]
        if self.valkey is not None:
            found.append(self.valkey["lock"])
        return found


def is_left() -> bool:
    """Whether this program follows another one of its process."""
    return VARIABLE in os.environ


def taken_over() -> Handover | None:
    """What the former program of this process has left, if it did."""
    fd = os.environ.pop(VARIABLE, None)
    if fd is None:
        return None
    handover = read(int(fd))
    os.close(int(fd))
    for left in handover._fds():
        os.set_inheritable(left, False)
    return handover


def read(fd: int) -> Handover:
    """Raises ConfigError for another form than ours."""
    said = json.loads(os.pread(fd, os.fstat(fd).st_size, 0))
    if said.get("form") != FORM:
        raise ConfigError(
            f"restart: this version takes over form {FORM} and finds {said.get('form')}; stop and start it instead"
        )
    return Handover(**said)


def state_of(loaded: Loaded) -> list[Any]:
    """Where the node's state is. Workers that differ in it would not hear of each other."""
    resolved, config = loaded.resolved, loaded.config
    redis = resolved.redis
    return [
        [resolved.adapter, resolved.cache, resolved.queue, resolved.rate_limiter, resolved.shared_memory],
        None if redis is None else [redis.host, redis.port, redis.db, redis.path, repr(redis.nodes), redis.name],
        [config.database.redis.key_prefix, config.adapter.redis.prefix, config.database.redis.embedded.data_dir],
    ]


def api_address_of(config: Config) -> list[Any]:
    """What the HTTP API listens on beside the main port. Another one cannot be had while workers have this one."""
    api = config.http_api
    return [api.host if api.port is not None else None, api.port, api.unix_socket]


def check(handover: Handover, loaded: Loaded, workers: int) -> None:
    """Raises ConfigError when a program of this configuration cannot take over."""
    if handover.file is not None and loaded.file is None:
        raise ConfigError(f"config file {handover.file}: there is no such file")
    if handover.host and exposes(loaded.config, handover.host):
        raise ConfigError(f"an application has a secret that everybody knows, and {handover.host} is listened on")
    if len(handover.listening) != workers:
        raise ConfigError(f"--workers: {workers}, and {len(handover.listening)} run; that needs a stop and a start")
    if json.loads(json.dumps(state_of(loaded))) != handover.state:
        raise ConfigError("restart: adapter, cache, queue or Redis have changed; that needs a stop and a start")
    if api_address_of(loaded.config) != handover.api_address:
        raise ConfigError("http_api: its own address has changed; that needs a stop and a start")


def tried(loaded: Loaded, workers: int) -> bool:
    """Whether this process is only to try; then all has been tried. Raises ConfigError, or whatever goes wrong."""
    fd = os.environ.get(TRIAL)
    if fd is None:
        return False
    check(read(int(fd)), loaded, workers)
    importlib.import_module("engine.supervisor.supervisor")
    importlib.import_module("engine.worker.worker")
    return True


def unblock_signals() -> None:
    """The handlers are there."""
    with contextlib.suppress(ValueError):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
