"""The fork server: a process that has imported what a worker needs, and forks for each one that is to be started.

It has one thread, no event loop and nothing of the node: whatever a child is to have comes with the request. It never
looks after its children; they are the supervisor's, and so is what becomes of them.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import gc
import importlib
import json
import os
import resource
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from engine.machine.collector import resting
from engine.machine.title import set_title
from engine.supervisor.open_files import raise_limit

#: What it says when it can fork.
READY = b"ready"
#: Longest request, its descriptors apart; and how many of those fit into one message, of which the kernel takes 253.
MAX_REQUEST_BYTES = 64 * 1024
FDS_AT_ONCE = 200
#: They are for the supervisor, which says what becomes of everybody.
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
_PID = struct.Struct("i")


def serve(control: socket.socket, modules: Sequence[str]) -> NoReturn:
    """Be the fork server, in a process made for it, until the supervisor closes its end of the socket. Never returns,
    so nothing that a parent has begun is ended here.

    :param modules: what every child finds imported.
    """
    status = 1
    try:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        # Ctrl-C reaches the supervisor only, also while a child is between its fork and its handlers.
        with contextlib.suppress(PermissionError):
            os.setsid()
        _close_all_but(control.fileno())
        raise_limit()
        set_title("engine.fork_server")
        with resting():
            for module in modules:
                importlib.import_module(module)
        gc.enable()
        control.send(READY)
        while (request := _receive(control)) is not None:
            said, fds = request
            control.send(json.dumps(_answer(said, fds)).encode())
            for fd in fds:
                os.close(fd)
        status = 0
    except (BrokenPipeError, ConnectionResetError):
        status = 0
    except BaseException:  # noqa: BLE001 (it ends here, whatever it is)
        traceback.print_exc()
    finally:
        _leave(status)


def _answer(said: dict[str, Any], fds: list[int]) -> dict[str, int]:
    """Start what was asked for: its pid, or the number of the error."""
    try:
        return {"pid": _fork_away(said, fds)}
    except OSError as error:
        return {"errno": error.errno or errno.EIO}


def _fork_away(said: dict[str, Any], fds: list[int]) -> int:
    """Fork a child whose parent is at once the nearest process that adopts orphans: the supervisor. Raises OSError."""
    reading, writing = os.pipe()
    try:
        between = os.fork()
        if between == 0:
            try:
                pid = os.fork()
                if pid == 0:
                    _run(said, fds)
                os.write(writing, _PID.pack(pid))
            except OSError as error:
                os.write(writing, _PID.pack(-(error.errno or errno.EIO)))
            finally:
                os._exit(0)
        # When it has ended, its child has been adopted, and what it had to say lies in the pipe.
        os.waitpid(between, 0)
        os.set_blocking(reading, False)
        (pid,) = _PID.unpack(os.read(reading, _PID.size))
    finally:
        os.close(reading)
        os.close(writing)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return int(pid)


def _run(said: dict[str, Any], fds: list[int]) -> NoReturn:
    """The child: as if it had been started anew with these words and descriptors. Ends the process."""
    status: object = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        _arrange(fds, said["fds"])
        set_title(said["name"], said["title"])
        status = importlib.import_module(said["module"]).main(said["words"])
    except SystemExit as error:
        status = error.code
    except BaseException:  # noqa: BLE001 (as at the end of any program)
        traceback.print_exc()
    finally:
        # Whatever the fork server would do at its own end is not ours to do.
        _leave(status if isinstance(status, int) else int(status is not None))


def _leave(status: int) -> NoReturn:
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(status)


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next request with its descriptors; None when there will be no other."""
    message, fds = _receive_some(control)
    if not message:
        return None
    said = json.loads(message)
    while len(fds) < len(said["fds"]):
        message, more = _receive_some(control)
        if not message:
            return None
        fds += more
    return said, fds


def _receive_some(control: socket.socket) -> tuple[bytes, list[int]]:
    fds = array.array("i")
    size = socket.CMSG_SPACE(FDS_AT_ONCE * fds.itemsize)
    message, ancillary, _, _ = control.recvmsg(MAX_REQUEST_BYTES, size, socket.MSG_CMSG_CLOEXEC)
    for _, _, data in ancillary:
        fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return message, list(fds)


def _arrange(fds: list[int], numbers: list[int]) -> None:
    """Give each descriptor the number by which it is known to the child, and close all others."""
    above = max([2, *fds, *numbers]) + 1
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in fds]
    os.closerange(3, above)
    for fd, number in zip(moved, numbers, strict=True):
        os.dup2(fd, number, inheritable=False)
    os.closerange(above, _end_of_descriptors())


def _close_all_but(kept: int) -> None:
    """Standard input too: there is nobody to type."""
    os.closerange(3, kept)
    os.closerange(kept + 1, _end_of_descriptors())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _end_of_descriptors() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1 << 20 if hard == resource.RLIM_INFINITY else hard


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2:])
