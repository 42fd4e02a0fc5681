"""The console's process as the supervisor sees it: started with its listening socket, answered, started again.

It never waits for it but to end it, and nothing that happens to it is anything to the node.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import subprocess
import time
from collections.abc import Callable

from engine.config.root import Config
from engine.control import NodeState, seal, send_spec, send_state
from engine.errors import ConfigError
from engine.supervisor.adopted import Child
from engine.supervisor.fork_server_process import ForkServer
from engine.supervisor.respawn import Respawn
from engine.supervisor.rollout import ConfigRollout

#: Until it is started again after it has ended, longer after each time that it did not live long.
RESPAWN_MIN_S, RESPAWN_MAX_S = 0.5, 30.0
STEADY_S = 60.0
#: It ends at once when it is asked to.
END_TIMEOUT_S = 2.0
BACKLOG = 64

_log = logging.getLogger(__name__)


class ConsoleProcess:
    """Listens when it is made; ConfigError when the address cannot be had.

    :param state: of the node, asked for whenever the console asks.
    :param given: the listening socket that an earlier program of this process has left, or -1.
    """

    def __init__(
        self,
        config: Config,
        forks: ForkServer,
        rollout: ConfigRollout,
        selector: selectors.BaseSelector,
        state: Callable[[], NodeState],
        given: int = -1,
    ) -> None:
        self._forks = forks
        self._rollout = rollout
        self._selector = selector
        self._state = state
        self._listening = socket.socket(fileno=given) if given >= 0 else _listen(config)
        self._process: Child | None = None
        self._control: socket.socket | None = None
        self._sent = 0
        self._started_at = 0.0
        self._respawn = Respawn(RESPAWN_MIN_S, RESPAWN_MAX_S, STEADY_S)

    @property
    def port(self) -> int:
        return int(self._listening.getsockname()[1])

    def look_after(self) -> None:
        """Start it if it does not run, and bring it the newest configuration."""
        now = time.monotonic()
        if self._process is not None and (status := self._process.poll()) is not None:
            self._forget()
            self._respawn.ended(now, now - self._started_at)
            delay_s = self._respawn.delay_s
            _log.warning("the console ended with status %d; starting it again in %.1f s", status, delay_s)
        if self._process is None and self._respawn.due(now):
            if not self._forks.starting:
                self._start()
        elif self._control is not None and self._sent < self._rollout.number:
            fd = seal(self._rollout.newest)
            try:
                if send_spec(self._control, self._rollout.number, fd):
                    self._sent = self._rollout.number
            finally:
                os.close(fd)

    def give(self) -> int:
        """A descriptor of the listening socket, which stays open for the next program of this process."""
        return os.dup(self._listening.fileno())

    def stop(self) -> None:
        """End it, and listen no more."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._forget()
        self._listening.close()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        spec_fd = seal(self._rollout.newest)
        try:
            fds = [spec_fd, theirs.fileno(), self._listening.fileno()]
            self._process = self._forks.start("engine.console.console", "engine.console", "", fds, fds)
        except OSError as error:
            self._control.close()
            self._control = None
            self._respawn.failed(time.monotonic())
            _log.error("the console cannot be started: %s; again in %.1f s", error, self._respawn.delay_s)
            return
        finally:
            os.close(spec_fd)
            theirs.close()
        self._sent, self._started_at = self._rollout.number, time.monotonic()
        self._selector.register(self._control, selectors.EVENT_READ, self._on_asked)

    def _on_asked(self) -> None:
        assert self._control is not None
        with contextlib.suppress(BlockingIOError):
            try:
                said = self._control.recv(16)
            except ConnectionResetError:
                said = b""
            if said:
                send_state(self._control, self._state())
            else:
                self._selector.unregister(self._control)
                self._control.close()
                self._control = None

    def _forget(self) -> None:
        if self._control is not None:
            self._selector.unregister(self._control)
            self._control.close()
        self._process = self._control = None


def console_of(
    config: Config,
    forks: ForkServer,
    rollout: ConfigRollout,
    selector: selectors.BaseSelector,
    state: Callable[[], NodeState],
    given: int,
) -> ConsoleProcess | None:
    """The console, where the configuration has a password for one. Raises ConfigError.

    :param given: the listening socket that an earlier program of this process has left, or -1; it is used where it is
        still the right one. After a restart in place an address that cannot be had is logged, as the node goes on.
    """
    if given >= 0:
        with socket.socket(fileno=os.dup(given)) as left:
            fits = config.console.port in (0, left.getsockname()[1])
        if config.console.password is not None and fits:
            return ConsoleProcess(config, forks, rollout, selector, state, given)
        os.close(given)
    if config.console.password is None:
        return None
    try:
        return ConsoleProcess(config, forks, rollout, selector, state)
    except ConfigError as error:
        if rollout.number == 1:
            raise
        _log.error("there is no console: %s", error)
        return None


def _listen(config: Config) -> socket.socket:
    host, port = config.console.host, config.console.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"console.host: {host!r} is no address of this machine: {error.strerror}") from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ConfigError(f"console.port: cannot listen on {host}:{port}: {error.strerror}") from error
    return sock
