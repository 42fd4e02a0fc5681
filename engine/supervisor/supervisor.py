"""The parent process: owns the listening sockets and the embedded Valkey, keeps one worker alive for each slot, and
hands them a configuration that was read again.

Runs no event loop: signals set a flag, one loop acts. Workers report over a control socket from their own
event loops, so a worker whose loop is stuck is noticed, not only one that is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from engine.adapter.shared_memory_files import LogFiles
from engine.app import App
from engine.apps.build import build_apps
from engine.config.loading.load import Loaded
from engine.config.redis import RedisOptions
from engine.control import WorkerSpec
from engine.errors import EngineError
from engine.http.health import DRAINING
from engine.log.setup import set_up_logging
from engine.metrics.metrics import Metrics
from engine.metrics.server import MetricsServer
from engine.metrics.values import MappedValues
from engine.supervisor import banner
from engine.supervisor.commands import CommandSocket
from engine.supervisor.console_process import ConsoleProcess, console_of
from engine.supervisor.crew import Crew
from engine.supervisor.departure import EXTRA_S, NodeDeparture
from engine.supervisor.fork_server_process import ForkServer
from engine.supervisor.handover import Handover, api_address_of, state_of, taken_over, unblock_signals
from engine.supervisor.open_files import FEW, raise_limit
from engine.supervisor.restart import Restart
from engine.supervisor.rollout import ConfigRollout
from engine.supervisor.service_manager import ServiceManager
from engine.supervisor.sockets import Ports
from engine.supervisor.terminal import Terminal
from engine.supervisor.traces import Traces
from engine.supervisor.worker_process import WorkerProcess

if TYPE_CHECKING:
    from engine.supervisor.node_redis import NodeRedis

#: Nothing happens for longer than this without the loop looking around.
TICK_S = 0.25
#: The same while the node stops: clients wait.
STOP_TICK_S = 0.02
#: A second signal so long after the first ends everything at once.
IMPATIENCE_S = 1.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs the engine until a signal or a command ends it.

    :param workers: how many worker processes.
    :param load: reads the configuration again, as `loaded` was read. Raises ConfigError.
    :param forks: starts the workers; begun already, by a process that had no threads yet.
    :param ports: open already; None when an earlier program of this process has left it.
    :param terminal: from which it was started, if it was.
    """

    def __init__(
        self,
        loaded: Loaded,
        workers: int,
        load: Callable[[], Loaded],
        forks: ForkServer,
        ports: Ports | None,
        terminal: Terminal,
    ) -> None:
        self._forks = forks
        self._given_ports = ports
        self._terminal = terminal
        self._loaded = loaded
        self._load = load
        self._hung_up = False
        self._config = loaded.config
        self._workers = workers
        self._stopping = 0
        self._stopped_at = -IMPATIENCE_S
        self._redis: NodeRedis | None = None
        self._metrics = Metrics()
        self._page: MetricsServer | None = None
        self._console: ConsoleProcess | None = None
        self._selector = selectors.DefaultSelector()
        self._traces = Traces(self._selector)
        self._announced = False
        self._commands: CommandSocket | None = None
        self._trouble = "starting"
        self._restart_asked = False
        self._service = ServiceManager()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status. Raises ConfigError for what cannot be had on this machine."""
        set_up_logging(self._config.logging, debug=self._config.debug, slot=None)
        for line in self._loaded.warnings:
            _log.warning("%s", line)
        given = taken_over()
        files = raise_limit()
        if files < FEW and given is None:
            _log.warning("each process may open %d files only, and a connection is one: see ulimit -n", files)
        with contextlib.ExitStack() as stack, self._signals():
            unblock_signals()
            self._forks.watch(self._selector)
            self._stack = stack
            self._metrics_dir = tempfile.mkdtemp(prefix="engine-metrics-") if given is None else given.metrics_dir
            stack.callback(shutil.rmtree, self._metrics_dir, ignore_errors=True)
            ports = self._given_ports if given is None else given.ports(self._config)
            assert ports is not None, "either the ports were opened, or they were left to us"
            self._ports = ports
            stack.callback(ports.close)
            stack.callback(ports.unlink)
            redis = self._start_redis(stack, given)
            self._start_metrics(stack, given)
            self._log = self._make_log() if given is None else given.log_files
            if self._log is not None:
                stack.callback(self._log.close)
            spec = WorkerSpec(self._loaded, redis, self._workers, self._metrics_dir, self._log)
            self._rollout = ConfigRollout(spec, self._metrics, 1 if given is None else given.spec + 1)
            stack.callback(self._rollout.close)
            self._crew = Crew(
                self._ports.slots,
                self._forks,
                self._rollout,
                self._selector,
                self._metrics,
                None if self._redis is None else self._redis.dead_workers,
                self._forget,
            )
            self._restart = Restart(
                self._crew,
                self._config,
                self._hand_over,
                self._replace_program,
                self._service,
                shared_state=self._loaded.resolved.adapter != "local",
            )
            self._listen_to_commands(stack)
            stack.callback(self._traces.stop)
            given_socket = -1 if given is None else given.console
            self._console = console_of(
                self._config, self._forks, self._rollout, self._selector, self._crew.state, given_socket
            )
            if self._console is not None:
                stack.callback(self._console.stop)
            try:
                if given is not None:
                    self._adopt(given)
                self._serve()
                return self._stop()
            except EngineError as error:
                _log.critical("%s", error)
                return 1
            finally:
                self._crew.kill()

    # --- start

    def _start_redis(self, stack: contextlib.ExitStack, given: Handover | None) -> RedisOptions | None:
        resolved = self._loaded.resolved
        if not resolved.has_redis:
            return None
        from engine.supervisor.node_redis import NodeRedis

        self._redis = NodeRedis(self._loaded)
        stack.callback(self._redis.stop)
        self._redis.start(None if given is None else given.valkey)
        return self._redis.options if resolved.redis_needed else None

    def _listen_to_commands(self, stack: contextlib.ExitStack) -> None:
        try:
            self._commands = CommandSocket(self._config)
        except OSError as error:
            _log.warning("the commands restart, rebalance and trace are not heard: %s", error.strerror)
            return
        stack.callback(self._commands.close)
        self._selector.register(self._commands.listening, selectors.EVENT_READ, self._on_command)

    def _make_log(self) -> LogFiles | None:
        if not self._loaded.resolved.shared_memory:
            return None
        apps = build_apps(self._config) if self._config.app_manager.from_file else ()
        longest_kb = max(self._config.websocket_max_payload_kb, self._config.event_limits.max_payload_in_kb)
        longest = max([int(longest_kb * 1024), *(app.max_event_bytes for app in apps)])
        # One place more, for the successor of a worker that still goes on.
        return LogFiles.create(self._workers + 1, longest)

    def _start_metrics(self, stack: contextlib.ExitStack, given: Handover | None) -> None:
        values = MappedValues(Path(self._metrics_dir), "supervisor")
        stack.callback(values.close)
        self._metrics = Metrics(values)
        if self._config.metrics.enabled:
            self._page = MetricsServer(
                self._metrics.families,
                self._config.metrics,
                self._config.port,
                self._metrics_dir,
                lambda: self._trouble,
            )
            self._page.start(-1 if given is None else given.page)
            stack.callback(self._page.stop)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """A signal only wakes the loop up; twice is impatience."""
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)

        def on_stop(number: int, frame: FrameType | None) -> None:
            # One Ctrl-C may reach us twice, as from a shell and from make.
            if time.monotonic() - self._stopped_at > IMPATIENCE_S:
                self._stopping += 1
                self._stopped_at = time.monotonic()

        def on_hang_up(number: int, frame: FrameType | None) -> None:
            if self._terminal.closed():
                on_stop(number, frame)
            else:
                self._hung_up = True

        def on_restart(number: int, frame: FrameType | None) -> None:
            self._restart_asked = True

        handled: list[tuple[int, Callable[[int, FrameType | None], None]]] = [
            (signal.SIGTERM, on_stop),
            (signal.SIGINT, on_stop),
            (signal.SIGHUP, on_hang_up),
            (signal.SIGUSR2, on_restart),
            (signal.SIGCHLD, lambda number, frame: None),
        ]
        before = {number: signal.signal(number, handler) for number, handler in handled}
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ, functools.partial(_empty, reader))
        try:
            yield
        finally:
            self._selector.unregister(reader)
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            reader.close()
            writer.close()

    # --- serve

    def _serve(self) -> None:
        while not self._stopping:
            if self._redis is not None:
                self._redis.look_after()
            if self._hung_up:
                self._hung_up = False
                self._service.reloading()
                self._rollout.read_again(self._load, [slot.process for slot in self._crew.slots])
                self._service.ready()
                # It may have taken a while, in which nobody was heard.
                self._wait(0)
            if self._restart_asked and not self._restart.busy:
                self._restart_asked = False
                self._restart.begin(None)
            self._crew.look_after()
            self._traces.look_after(self._crew.processes)
            self._restart.step()
            if self._console is not None:
                self._console.look_after()
            self._note_trouble(self._crew.trouble())
            if not self._announced and self._crew.complete:
                self._announced = True
                self._service.ready()
                console = 0 if self._console is None else self._console.port
                banner.show(self._config, self._apps(), self._ports, self._workers, console, self._terminal.options)
            self._service.tick(self._trouble or self._crew.summary(), starting=not self._announced)
            self._wait(STOP_TICK_S if self._restart.busy else TICK_S)

    def _note_trouble(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            if self._announced:
                _log.warning("the node is not ready: %s", trouble) if trouble else _log.info("the node is ready again")
        self._crew.report_trouble(trouble)

    def _on_command(self) -> None:
        assert self._commands is not None
        request = self._commands.accept()
        if request is None:
            return
        if request.words[0] == "restart":
            self._restart.begin(request)
        elif request.words[0] == "rebalance" and len(request.words) == 2 and request.words[1].isdecimal():
            number = self._crew.shed(int(request.words[1]), self._config.shutdown.pace_per_second)
            request.say(f"{number} clients are sent elsewhere")
            request.end(0)
        elif request.words[0] == "trace" and len(request.words) == 2 and request.lines is not None:
            self._traces.begin(request, self._crew.processes, len(self._crew.slots))
        else:
            request.say(f"{request.words[0]} is no command")
            request.end(2)

    def _adopt(self, given: Handover) -> None:
        """Go on as the program before: its workers serve until each has its successor."""
        self._announced = True
        for worker in given.workers:
            self._crew.adopt(WorkerProcess.adopt(worker))
        self._traces.adopt(given.traces)
        self._restart.go_on(given.asker)

    def _hand_over(self) -> Handover:
        """What the next program of this process needs."""
        return Handover(
            listening=[[mine.sock.fileno() for mine in slot] for slot in self._ports.slots],
            kept=self._ports.kept,
            where=self._ports.where,
            metrics_dir=self._metrics_dir,
            page=-1,
            log=None if self._log is None else dataclasses.asdict(self._log),
            valkey=None if self._redis is None else self._redis.give(),
            state=state_of(self._rollout.newest.loaded),
            workers=[slot.process.give() for slot in self._crew.slots if slot.process is not None],
            spec=self._rollout.number,
            api=[mine.sock.fileno() for slot in self._ports.slots for mine in slot if mine.api],
            api_where=self._ports.api_where,
            api_address=api_address_of(self._config),
            traces=self._traces.give(),
            host=self._config.host,
            file=None if self._loaded.file is None else str(self._loaded.file),
        )

    def _replace_program(self, handover: Handover) -> NoReturn:
        if self._page is not None:
            handover.page = self._page.give()
            self._page.stop()
        if self._console is not None:
            handover.console = self._console.give()
            self._console.stop()
        if self._commands is not None:
            self._commands.close()
        self._forks.stop()
        self._metrics.flush()
        handover.become()

    def _apps(self) -> Sequence[App]:
        """Those that the supervisor knows of; it asks no database."""
        config = self._rollout.newest.loaded.config
        return build_apps(config) if config.app_manager.from_file else ()

    def _forget(self, place: int) -> None:
        if self._page is not None:
            self._page.forget(place)

    def _wait(self, timeout_s: float = TICK_S) -> None:
        self._metrics.flush()
        for key, _ in self._selector.select(timeout_s):
            key.data()

    # --- stop

    def _stop(self) -> int:
        self._restart.give_up("the node stops")
        self._service.stopping(self._config.shutdown_grace_period + EXTRA_S)
        self._trouble = DRAINING
        # First, for it takes time to end: clients who are sent away come back a second later, and want an open port.
        self._forks.stop()
        departure = NodeDeparture(
            self._crew,
            self._config,
            began=self._stopped_at,
            others=self._redis is not None
            and self._redis.others_live({process.incarnation for process in self._crew.processes}),
            wait=lambda: self._wait(STOP_TICK_S),
            impatient=lambda: self._stopping > 1,
            on_closing=self._ports.unlink,
        )
        return departure.run()


def _empty(reader: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        reader.recv(4096)
