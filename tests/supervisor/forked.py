"""A supervisor that asks its fork server for processes, and those processes; what each finds is printed as JSON.

`python -m tests.supervisor.forked`, by the tests of the fork server: they run in processes with threads of their own.
"""

from __future__ import annotations

import atexit
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from engine.supervisor.adopted import Child
from engine.supervisor.fork_server_process import ForkServer

#: Which process has imported this.
IMPORTED_BY = os.getpid()
MANY = 300
#: They end a child that has no handlers yet, without a word.
ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2)
TIMEOUT_S = 60.0


def main(words: list[str]) -> int:
    """What is forked. :param words: what to do, and a descriptor."""
    what, fd = words[0], int(words[1])
    match what:
        case "tell":
            os.write(fd, json.dumps(_seen(words)).encode())
            return 3
        case "fail":
            raise RuntimeError("as any program may")
        case "leave":
            sys.exit(4)
        case _:
            with socket.socket(fileno=fd) as other:
                other.send(b"here")
                # Until the other side is gone.
                other.recv(1)
            print(json.dumps({"alone": os.getpid()}), flush=True)
            return 0


def _seen(words: list[str]) -> dict[str, Any]:
    fds = {int(entry.name): str(entry.readlink()) for entry in Path("/proc/self/fd").iterdir() if entry.exists()}
    return {
        "words": words,
        "imported by": IMPORTED_BY,
        "session": os.getsid(0) == os.getpid(),
        "input": fds.pop(0),
        "fds": sorted(number for number in fds if number > 2),
        "line": Path("/proc/self/cmdline").read_bytes().rstrip(b"\0").decode(),
        "default": [signal.getsignal(number) is signal.SIG_DFL for number in ENDING],
        "hung up": signal.getsignal(signal.SIGHUP) is signal.SIG_IGN,
        "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])],
    }


class Supervisor:
    """As much of one as there must be. Prints an object for each thing that it finds."""

    def __init__(self, forks: ForkServer) -> None:
        self.forks = forks
        self.selector = selectors.DefaultSelector()
        forks.watch(self.selector)

    def come_up(self) -> None:
        end = time.monotonic() + TIMEOUT_S
        while not self._up():
            assert time.monotonic() < end, "the fork server comes up"
            for key, _ in self.selector.select(0.05):
                key.data()
            self.forks.look_after()

    def _up(self) -> bool:
        return not self.forks.starting and self.forks._process is not None

    def start(self, what: str, *fds: int) -> Child:
        return self.forks.start("tests.supervisor.forked", "engine.child", "7", [what, fds[0]], fds)

    def ask(self, number: int = 1) -> dict[str, Any]:
        """What a child with so many descriptors sees, the last of which it is asked to write to."""
        reading, writing = os.pipe()
        given = [writing, *(os.dup(writing) for _ in range(number - 1))]
        child = self.start("tell", *given)
        # The fields behind its name: its state, then its parent. It is there also when it has ended already.
        parent = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[1]
        for fd in given:
            os.close(fd)
        status = child.wait(TIMEOUT_S)
        with open(reading, "rb") as file:
            seen: dict[str, Any] = json.loads(file.read())
        return seen | {"given": sorted(given), "status": status, "pid": child.pid, "parent": int(parent)}

    def leave_alone(self) -> None:
        """A child that will live longer than this process."""
        ours, theirs = socket.socketpair()
        self.start("wait", theirs.fileno())
        theirs.close()
        assert ours.recv(4) == b"here"
        self.ours = ours


def play() -> None:
    """Ask for everything that the tests look at, or with the word `killed` be killed while a child lives."""
    atexit.register(print, json.dumps({"at exit": True}))
    # What lies here must be written once.
    sys.stdout.write(json.dumps({"supervisor": os.getpid()}) + "\n")
    kept, held = os.pipe()
    supervisor = Supervisor(ForkServer(["tests.supervisor.forked"]))
    supervisor.come_up()
    if "killed" in sys.argv:
        supervisor.leave_alone()
        os.kill(os.getpid(), signal.SIGKILL)
    tell(forked=supervisor.ask(), many=supervisor.ask(MANY))
    os.close(held)
    # Nobody else has its other end: not the fork server, and no child.
    tell(held=os.read(kept, 1).decode())
    with open(os.devnull) as nothing:
        for what in ("fail", "leave"):
            tell(**{what: supervisor.start(what, nothing.fileno()).wait(TIMEOUT_S)})
        first = supervisor.forks._process
        assert first is not None
        first.kill()
        try:
            supervisor.start("leave", nothing.fileno())
        except OSError as error:
            tell(refused=str(error))
    first.wait()
    supervisor.forks.look_after()
    supervisor.come_up()
    tell(again=supervisor.ask())
    supervisor.forks.stop()


def tell(**found: object) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    play()
