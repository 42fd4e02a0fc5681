"""The fork server as the supervisor sees it: begun with the engine, asked for each child, begun again if it ends.

The supervisor has threads, which a fork would leave half way in whatever they do; so it never forks itself but once, at
its very start. The children are its own nevertheless: it adopts them.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import logging
import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from engine.config.resolve import Resolved
from engine.supervisor import fork_server
from engine.supervisor.adopted import AdoptedChild, Child
from engine.supervisor.fork_server import FDS_AT_ONCE, READY
from engine.supervisor.respawn import Respawn

#: What it imports before it says that it is ready: what a worker needs; and with a Redis.
WORKER, WORKER_WITH_REDIS = "engine.worker.worker", "engine.worker.redis_drivers"
#: What the supervisor needs with a Redis; a worker needs most of it too.
SUPERVISOR_WITH_REDIS = "engine.supervisor.node_redis"
#: For its imports, on a busy machine.
START_TIMEOUT_S = 60.0
#: For one fork.
FORK_TIMEOUT_S = 5.0
#: Until it is begun again after it has ended, longer after each time that it did not live long.
AGAIN_MIN_S, AGAIN_MAX_S = 0.1, 10.0
STEADY_S = 10.0
MAX_ANSWER_BYTES = 1024
#: prctl(2).
_PR_SET_CHILD_SUBREAPER = 36

_log = logging.getLogger(__name__)


class ForkServer:
    """Begins when it is made, and stops at the end of the `with` that it is used in.

    In a process with one thread by a fork, which costs no second import of what is there already; else, and whenever it
    has ended, as a new program.

    :param modules: what it imports before it is ready. :param anew: whether it is to be a new program in any case.
    """

    def __init__(self, modules: Sequence[str], *, anew: bool = False) -> None:
        _adopt_orphans()
        self._modules = modules
        self._selector: selectors.BaseSelector | None = None
        self._process: Child | None = None
        self._ready = False
        self._respawn = Respawn(AGAIN_MIN_S, AGAIN_MAX_S, STEADY_S)
        self._stopped = False
        self._begin(_executed if anew or threading.active_count() > 1 else _forked)

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @classmethod
    def of(cls, resolved: Resolved) -> ForkServer:
        """For workers of such a configuration. What they need is imported here and not in the fork, so that its memory
        is the supervisor's too: what is imported is written to, and would be there twice."""
        modules = [WORKER, WORKER_WITH_REDIS] if resolved.has_redis else [WORKER]
        for module in [*modules, *([SUPERVISOR_WITH_REDIS] if resolved.has_redis else ())]:
            importlib.import_module(module)
        return cls(modules)

    def watch(self, selector: selectors.BaseSelector) -> None:
        """Have a loop woken when it is ready. :param selector: whose data are callables."""
        self._selector = selector
        if self._process is not None:
            selector.register(self._control, selectors.EVENT_READ, self._hear)

    @property
    def starting(self) -> bool:
        """It will be ready in a moment. To be asked before `start`, which does not wait for that."""
        if not self._ready and self._process is not None:
            self._hear()
        return self._process is not None and not self._ready

    def start(self, module: str, name: str, title: str, words: Sequence[object], fds: Sequence[int]) -> Child:
        """A child of this process that runs `main(words)` of a module and has these descriptors under their numbers.

        :param name: of the process. :param title: what stands behind the name in its command line.
        Raises OSError when there can be none now.
        """
        if self._process is None or not self._ready:
            raise OSError("the process that forks it does not run")
        request = {"module": module, "name": name, "title": title, "words": [*map(str, words)], "fds": [*fds]}
        try:
            self._control.settimeout(FORK_TIMEOUT_S)
            socket.send_fds(self._control, [json.dumps(request).encode()], fds[:FDS_AT_ONCE])
            for begin in range(FDS_AT_ONCE, len(fds), FDS_AT_ONCE):
                socket.send_fds(self._control, [b"."], fds[begin : begin + FDS_AT_ONCE])
            answer = self._control.recv(MAX_ANSWER_BYTES)
        except OSError as error:
            self._process.kill()
            raise OSError(f"the process that forks it does not answer: {error}") from error
        if not answer:
            raise OSError("the process that forks it has ended")
        self._control.setblocking(False)
        said = json.loads(answer)
        if "pid" not in said:
            raise OSError(said["errno"], os.strerror(said["errno"]))
        return AdoptedChild(said["pid"])

    def look_after(self) -> None:
        """Begin it again if it has ended, or does not come up."""
        now = time.monotonic()
        if self._process is not None:
            if not self._ready and now - self._began_at > START_TIMEOUT_S:
                self._process.kill()
            status = self._process.poll()
            if status is None:
                return
            self._respawn.ended(now, now - self._began_at)
            self._forget()
            _log.warning(
                "the process that forks workers ended with status %d; beginning it again in %.1f s",
                status,
                self._respawn.delay_s,
            )
        elif not self._stopped and self._respawn.due(now):
            try:
                self._begin(_executed)
            except OSError as error:
                self._respawn.failed(now)
                _log.error("no worker can be started: %s; again in %.1f s", error, self._respawn.delay_s)

    def stop(self) -> None:
        """End it; what it has started goes on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._forget()
        self._stopped = True

    def _begin(self, how: Callable[[socket.socket, Sequence[str]], Child]) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        try:
            self._process = how(theirs, self._modules)
        except OSError:
            self._control.close()
            raise
        finally:
            theirs.close()
        self._began_at = time.monotonic()
        if self._selector is not None:
            self._selector.register(self._control, selectors.EVENT_READ, self._hear)

    def _hear(self) -> None:
        """Nothing but that it is ready comes unasked; at its end it is no longer listened to."""
        try:
            said = self._control.recv(MAX_ANSWER_BYTES)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if said == READY:
            self._ready = True
        elif self._process is not None:
            # Its end is seen by its status; killed, so that there is one.
            self._process.kill()

    def _forget(self) -> None:
        if self._selector is not None:
            self._selector.unregister(self._control)
        self._control.close()
        self._process, self._ready = None, False


def _forked(theirs: socket.socket, modules: Sequence[str]) -> Child:
    for stream in (sys.stdout, sys.stderr):
        # What lies in them would be written twice.
        stream.flush()
    pid = os.fork()
    if pid == 0:
        fork_server.serve(theirs, modules)
    return AdoptedChild(pid)


def _executed(theirs: socket.socket, modules: Sequence[str]) -> Child:
    return subprocess.Popen(
        [sys.executable, "-m", fork_server.__name__, str(theirs.fileno()), *modules],
        stdin=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        # Ctrl-C would find it in its imports.
        start_new_session=True,
    )


def _adopt_orphans() -> None:
    """Below this process whoever loses its parent gets this one."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "this system lets no process adopt others (prctl PR_SET_CHILD_SUBREAPER)")
