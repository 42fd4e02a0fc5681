"""What a supervisor and its worker say to each other, over a SOCK_SEQPACKET pair: each message is one datagram.

A worker reports its state as a small JSON object. The supervisor sends orders, as another, and what the worker is to be
from now on: a number and a length, beside which travels a sealed file in memory, so that no size is too large and no
message is ever torn.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import socket
import struct
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from typing import TypeVar

from engine.adapter.shared_memory_files import LogFiles
from engine.config.loading.load import Loaded
from engine.config.redis import RedisOptions
from engine.errors import ConfigError
from engine.trace.follow import Follow, decode

#: Exit status of a worker that never got to know its applications.
EXIT_NO_APPS = 78
#: Longest message of a worker; one that is longer is not ours.
MAX_BEAT_BYTES = 4096
MAX_ORDER_BYTES = 1024
#: Of the workers' states; a socket takes no longer message.
MAX_STATE_BYTES = 128 * 1024
#: Workers in one.
MAX_STATES = 256
#: Where a worker is asked by the console, beside its metrics; with its place.
CONSOLE_SOCKETS = "console-{}.sock"
#: Longest request to follow something; its names are percent-encoded.
MAX_TRACE_BYTES = 16 * 1024
#: In front of the descriptor, on a worker's command line, of a socket for the HTTP API only.
API_SOCKET = "api:"
_HEAD = struct.Struct("!IQ")
_TRACE = b"trace "
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


class Phase(IntEnum):
    """How far a worker has gone on its way out; it never goes back.

    :cvar LEAVING: `/ready` says no, and newcomers are served as ever until balancers have noticed.
    :cvar CLOSED: it accepts no more connections; those it has are served. What it was asked is answered, and where its
        clients have nobody to go to, what is due to webhook endpoints is delivered.
    :cvar GONE: its clients are sent away, and it ends.
    """

    SERVING = 0
    LEAVING = 1
    CLOSED = 2
    GONE = 3


@dataclass(frozen=True, slots=True)
class Beat:
    """How a worker is.

    :param ready: its parts have started. :param incarnation: its name in the cluster.
    :param spec: number of the newest that it is. :param phase: the last that it has come to the end of.
    :param trouble: why `/ready` says no; empty when it says yes.
    :param asked: another process than the supervisor asked it to end.
    """

    ready: bool
    incarnation: str
    spec: int
    phase: int = Phase.SERVING
    connections: int = 0
    trouble: str = ""
    asked: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is to do next.

    :param phase: the one to go on to.
    :param ends_at_s: when the process is to have ended, by CLOCK_MONOTONIC; 0 is not said.
    :param code: the close code for its clients. :param pace_per_second: of its clients; 0 is all at once.
    :param shed: so many of its clients are to be sent elsewhere while it goes on serving.
    :param node: why the node as a whole is not ready; empty when it is.
    """

    phase: int = Phase.SERVING
    ends_at_s: float = 0.0
    code: int = 0
    pace_per_second: float = 0.0
    shed: int = 0
    node: str = ""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One worker as its supervisor knows it, for the console.

    :param slot: whose sockets it has. :param place: its own among the node's workers, old and new.
    :param phase: the last that it has come to the end of. :param silent_s: since it was heard last.
    """

    slot: int
    place: int
    pid: int
    incarnation: str
    ready: bool
    phase: int
    connections: int
    trouble: str
    silent_s: float
    lived_s: float


@dataclass(frozen=True, slots=True)
class NodeState:
    """What a supervisor knows of its node. :param trouble: why the node is not ready; empty when it is."""

    trouble: str
    slots: int
    workers: tuple[WorkerState, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """What a worker is to follow. :param connection: takes a line in each datagram; its receiver's to close."""

    follow: Follow
    connection: socket.socket


_Said = TypeVar("_Said", Beat, Order)
_TYPES: dict[str, tuple[type, ...]] = {"bool": (bool,), "int": (int,), "float": (float, int), "str": (str,)}


def send_beat(control: socket.socket, beat: Beat) -> None:
    """Says nothing when the supervisor is gone or does not listen; the next one says as much."""
    with contextlib.suppress(OSError):
        control.send(json.dumps(asdict(beat)).encode())


def receive_beat(control: socket.socket) -> Beat | None:
    """The next one; None when there is none now, or never again. Raises ControlError."""
    try:
        message = control.recv(MAX_BEAT_BYTES + 1)
    except (BlockingIOError, ConnectionResetError):
        return None
    return _read(Beat, message, MAX_BEAT_BYTES, "a worker") if message else None


def send_order(control: socket.socket, order: Order) -> bool:
    """Whether the worker will get it; False when it does not listen now."""
    try:
        control.send(json.dumps(asdict(order)).encode())
    except OSError:
        return False
    return True


def seal(spec: WorkerSpec) -> int:
    """A descriptor of the spec as a file in memory; its receiver reads it with `unseal`."""
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


def send_state(control: socket.socket, state: NodeState) -> None:
    """Says nothing when the console does not listen; it asks again."""
    with contextlib.suppress(OSError):
        control.send(json.dumps(asdict(state)).encode())


def receive_console_word(control: socket.socket) -> NodeState | tuple[int, int] | None:
    """What a console hears: the state that it asked for, or the next spec as `receive_word` gives it; None when there
    is nothing now.

    Raises ConnectionResetError when the supervisor is gone, and ControlError."""
    received = _received(control, MAX_STATE_BYTES)
    if received is None:
        return None
    message, fds, flags = received
    if not message.startswith(b"{") or fds:
        return _spec(message, fds, flags)
    try:
        said = json.loads(message[:MAX_STATE_BYTES])
        workers = tuple(WorkerState(**worker) for worker in said["workers"])
        return NodeState(str(said["trouble"]), int(said["slots"]), workers)
    except (ValueError, TypeError, LookupError) as error:
        raise ControlError(f"a state of {len(message)} bytes cannot be read") from error


def send_trace(control: socket.socket, follow: Follow, fd: int) -> bool:
    """Have a worker follow something. :param fd: of a socket that takes a line in each datagram."""
    try:
        socket.send_fds(control, [_TRACE + follow.encode().encode()], [fd])
    except OSError:
        return False
    return True


def receive_word(control: socket.socket) -> Order | Trace | tuple[int, int] | None:
    """The next order, what is to be followed, or (number, descriptor for `unseal`) of the next spec; None when there is
    nothing now.

    Raises ConnectionResetError when the supervisor is gone, and ControlError."""
    received = _received(control, MAX_TRACE_BYTES)
    if received is None:
        return None
    message, fds, flags = received
    if message.startswith(b"{") and not fds:
        return _read(Order, message, MAX_ORDER_BYTES, "a supervisor")
    if message.startswith(_TRACE) and len(fds) == 1:
        connection = socket.socket(fileno=fds[0])
        connection.set_inheritable(False)
        try:
            return Trace(decode(message[len(_TRACE) :].decode()), connection)
        except (ConfigError, ValueError) as error:
            connection.close()
            raise ControlError(str(error)) from error
    return _spec(message, fds, flags)


def _received(control: socket.socket, max_bytes: int) -> tuple[bytes, list[int], int] | None:
    """The next message with its descriptors and flags; one that is longer comes with one byte more than the most."""
    try:
        message, fds, flags, _ = socket.recv_fds(control, max_bytes + 1, 1)
    except BlockingIOError:
        return None
    if not message and not fds:
        raise ConnectionResetError
    return message, fds, flags


def _spec(message: bytes, fds: list[int], flags: int) -> tuple[int, int]:
    """The spec that came with a message, if that is what it is."""
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


def _read(kind: type[_Said], message: bytes, max_bytes: int, who: str) -> _Said:
    """Members that we do not know are passed over, and those that are missing have their defaults: during a restart in
    place the two sides may be of neighbouring versions."""
    try:
        said = json.loads(message[:max_bytes])
        known = {field.name: said[field.name] for field in fields(kind) if field.name in said}
        found = kind(**known)
    except (ValueError, TypeError, LookupError) as error:
        raise ControlError(f"a message of {len(message)} bytes cannot be read") from error
    types = {field.name: _TYPES[str(field.type)] for field in fields(kind)}
    if len(message) > max_bytes or any(type(value) not in types[name] for name, value in known.items()):
        raise ControlError(f"a message is not what {who} says")
    return found
