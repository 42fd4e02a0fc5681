"""What a supervisor and its worker say to each other, over a SOCK_SEQPACKET pair: each message is one datagram.

A worker tells how it is, as a small JSON object. The supervisor sends what the worker is to be from now on: a number
and a length, beside which travels a sealed file in memory, so that no size is too large and no message is ever torn.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import socket
import struct
from dataclasses import asdict, dataclass

from engine.adapter.shared_memory_files import LogFiles
from engine.config.loading.load import Loaded
from engine.config.redis import RedisOptions

#: Exit status of a worker that never got to know its applications.
EXIT_NO_APPS = 78
#: Longest message of a worker; one that is longer is not ours.
MAX_BEAT_BYTES = 4096
_HEAD = struct.Struct("!IQ")
#: Nobody, not even the sender, can change a file after this.
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class ControlError(Exception):
    """The other side said something that is no message; it cannot be one of ours."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is to be; the same for every worker.

    :param redis: where the shared state is; None when no driver needs it.
    :param log: of the events between workers, where they are the whole cluster; None where events go through Redis.
    :param metrics_dir: where counters are kept in memory that all processes share.
    """

    loaded: Loaded
    redis: RedisOptions | None
    workers: int
    metrics_dir: str
    log: LogFiles | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """How a worker is. :param incarnation: its name in the cluster. :param spec: number of the newest that it is."""

    ready: bool
    incarnation: str
    spec: int


def send_beat(control: socket.socket, beat: Beat) -> None:
    """Says nothing when the supervisor is gone or does not listen; the next one tells as much."""
    with contextlib.suppress(OSError):
        control.send(json.dumps(asdict(beat)).encode())


def receive_beat(control: socket.socket) -> Beat | None:
    """The next one; None when there is none now, or never again. Raises ControlError."""
    try:
        message = control.recv(MAX_BEAT_BYTES + 1)
    except (BlockingIOError, ConnectionResetError):
        return None
    if not message:
        return None
    try:
        said = json.loads(message[: MAX_BEAT_BYTES + 1])
        beat = Beat(said["ready"], said["incarnation"], said["spec"])
    except (ValueError, TypeError, LookupError) as error:
        raise ControlError(f"a message of {len(message)} bytes cannot be read") from error
    if len(message) > MAX_BEAT_BYTES or (type(beat.ready), type(beat.incarnation), type(beat.spec)) != (bool, str, int):
        raise ControlError("a message is not what a worker says")
    return beat


def seal(spec: WorkerSpec) -> int:
    """A descriptor of the spec as a file in memory; whoever gets it reads it with `unseal`."""
    fd = os.memfd_create("engine-spec", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            pickle.dump(spec, file)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def unseal(fd: int) -> WorkerSpec:
    """What `seal` was given. Closes the descriptor."""
    with open(fd, "rb") as file:
        # Every worker has the same file open, and with it the same position.
        spec = pickle.loads(os.pread(file.fileno(), os.fstat(fd).st_size, 0))
    assert isinstance(spec, WorkerSpec)
    return spec


def send_spec(control: socket.socket, number: int, fd: int) -> bool:
    """Whether the worker will get it; False when it does not listen now."""
    size = os.fstat(fd).st_size
    try:
        socket.send_fds(control, [_HEAD.pack(number, size)], [fd])
    except OSError:
        return False
    return True


def receive_spec(control: socket.socket) -> tuple[int, int] | None:
    """(number, descriptor for `unseal`) of the next spec; None when there is none now.

    Raises ConnectionResetError when the supervisor is gone, and ControlError."""
    try:
        message, fds, flags, _ = socket.recv_fds(control, _HEAD.size + 1, 1)
    except BlockingIOError:
        return None
    if not message and not fds:
        raise ConnectionResetError
    try:
        if len(message) != _HEAD.size or len(fds) != 1 or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ControlError("a message is not what a supervisor says")
        number, size = _HEAD.unpack(message)
        if os.fstat(fds[0]).st_size != size or fcntl.fcntl(fds[0], fcntl.F_GET_SEALS) & _SEALS != _SEALS:
            raise ControlError(f"specification {number} has not the length that was announced, or no seal")
    except (ControlError, OSError) as error:
        for fd in fds:
            os.close(fd)
        raise error if isinstance(error, ControlError) else ControlError("a message carries no sealed file") from error
    os.set_inheritable(fds[0], False)
    return number, fds[0]
