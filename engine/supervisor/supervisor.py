"""The parent process: owns the listening sockets and the embedded Valkey, keeps one worker alive for each slot, and
hands them a configuration that was read again.

Runs no event loop: signals set a flag, one loop acts. Workers tell of themselves over a control socket from their own
event loops, so a worker whose loop is stuck is noticed, not only one that is gone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from engine.adapter.shared_memory_files import LogFiles
from engine.app import App
from engine.apps.build import build_apps
from engine.config.addresses import server_url
from engine.config.loading.load import Loaded
from engine.config.redis import RedisOptions
from engine.control import WorkerSpec
from engine.errors import EngineError, StoreUnavailable
from engine.log import set_up_logging
from engine.metrics.metrics import Metrics
from engine.metrics.server import MetricsServer
from engine.metrics.values import MappedValues
from engine.occupancy.declare_dead import DeadWorkers
from engine.occupancy.other_nodes import others_live
from engine.redis.embedded import EmbeddedValkey
from engine.supervisor import banner, sockets
from engine.supervisor.crew import Crew
from engine.supervisor.departure import NodeDeparture
from engine.supervisor.rollout import ConfigRollout
from engine.supervisor.worker_process import WorkerProcess

#: Nothing happens for longer than this without the loop looking around.
TICK_S = 0.25
#: The same while the node stops: clients wait.
STOP_TICK_S = 0.02
#: For each step of asking Redis whether there are other nodes.
ASK_TIMEOUT_S = 0.5
#: A second signal so long after the first ends everything at once.
IMPATIENCE_S = 1.0

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs the engine until it is told to stop.

    :param workers: how many worker processes.
    :param load: reads the configuration again, as `loaded` was read. Raises ConfigError.
    """

    def __init__(self, loaded: Loaded, workers: int, load: Callable[[], Loaded]) -> None:
        self._loaded = loaded
        self._load = load
        self._hung_up = False
        self._config = loaded.config
        self._workers = workers
        self._stopping = 0
        self._stopped_at = -IMPATIENCE_S
        self._valkey: EmbeddedValkey | None = None
        self._dead_workers: DeadWorkers | None = None
        self._metrics = Metrics()
        self._page: MetricsServer | None = None
        self._selector = selectors.DefaultSelector()
        self._announced = False
        self._unlinked = False

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; the exit status. Raises ConfigError for what cannot be had on this machine."""
        set_up_logging(self._config.logging, debug=self._config.debug, slot=None)
        for line in self._loaded.warnings:
            _log.warning("%s", line)
        with contextlib.ExitStack() as stack, self._signals():
            self._metrics_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="engine-metrics-"))
            listening = self._listen(stack)
            redis = self._start_redis(stack)
            self._start_metrics(stack)
            log = self._make_log(stack)
            self._rollout = ConfigRollout(
                WorkerSpec(self._loaded, redis, self._workers, self._metrics_dir, log), self._metrics
            )
            stack.callback(self._rollout.close)
            self._crew = Crew(listening, self._rollout, self._selector, self._metrics, self._dead_workers, self._forget)
            try:
                self._serve()
                return self._stop()
            except EngineError as error:
                _log.critical("%s", error)
                return 1
            finally:
                self._crew.kill()

    # --- start

    def _listen(self, stack: contextlib.ExitStack) -> list[list[socket.socket]]:
        config = self._config
        if config.unix_socket.enabled:
            shared = stack.enter_context(sockets.open_unix(config.unix_socket))
            stack.callback(self._unlink)
            self._where = f"unix:{config.unix_socket.path}"
            return [[shared] for _ in range(self._workers)]
        opened = sockets.open_tcp(config.host, config.port, self._workers)
        for sock in opened:
            stack.callback(sock.close)
        self._where = server_url(config, opened[0].getsockname()[1])
        return [[sock] for sock in opened]

    def _start_redis(self, stack: contextlib.ExitStack) -> RedisOptions | None:
        resolved = self._loaded.resolved
        redis = resolved.redis
        if resolved.redis_embedded:
            self._valkey = EmbeddedValkey(Path(self._config.database.redis.embedded.data_dir))
            stack.callback(self._valkey.stop)
            self._valkey.start()
            redis = self._valkey.options
        if redis is not None and resolved.adapter == "redis":
            self._dead_workers = DeadWorkers(redis, self._config)
        return redis if resolved.redis_needed else None

    def _make_log(self, stack: contextlib.ExitStack) -> LogFiles | None:
        if not self._loaded.resolved.shared_memory:
            return None
        apps = build_apps(self._config) if self._config.app_manager.from_file else ()
        longest_kb = max(self._config.websocket_max_payload_kb, self._config.event_limits.max_payload_in_kb)
        longest = max([int(longest_kb * 1024), *(app.max_event_bytes for app in apps)])
        files = LogFiles.create(self._workers, longest)
        stack.callback(files.close)
        return files

    def _start_metrics(self, stack: contextlib.ExitStack) -> None:
        values = MappedValues(Path(self._metrics_dir), "supervisor")
        stack.callback(values.close)
        self._metrics = Metrics(values)
        if self._config.metrics.enabled:
            self._page = MetricsServer(
                self._metrics.families, self._config.metrics, self._config.port, self._metrics_dir
            )
            self._page.start()
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
            self._hung_up = True

        handled: list[tuple[int, Callable[[int, FrameType | None], None]]] = [
            (signal.SIGTERM, on_stop),
            (signal.SIGINT, on_stop),
            (signal.SIGHUP, on_hang_up),
            (signal.SIGCHLD, lambda number, frame: None),
        ]
        before = {number: signal.signal(number, handler) for number, handler in handled}
        wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self._selector.register(reader, selectors.EVENT_READ)
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
            if self._valkey is not None and not self._valkey.alive:
                _log.error("the embedded Valkey ended; starting it again on the same data")
                self._valkey.restart()
            if self._hung_up:
                self._hung_up = False
                self._rollout.read_again(self._load, [slot.process for slot in self._crew.slots])
                # It may have taken a while, in which nobody was heard.
                self._wait(0)
            self._crew.look_after()
            if not self._announced and self._crew.complete:
                self._announced = True
                banner.show(self._config, self._apps(), self._where, self._workers, sys.stdout)
            self._wait()

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
            if isinstance(key.data, WorkerProcess):
                key.data.read()
            elif isinstance(key.fileobj, socket.socket):
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(4096)

    # --- stop

    def _stop(self) -> int:
        departure = NodeDeparture(
            self._crew,
            self._config,
            others=self._others_live(),
            kept=False,
            wait=lambda: self._wait(STOP_TICK_S),
            impatient=lambda: self._stopping > 1,
            on_closing=self._unlink,
        )
        return departure.run()

    def _others_live(self) -> bool:
        """Whether clients have another node to go to; when nobody can say, they may have."""
        redis = self._rollout.newest.redis
        if redis is None or self._valkey is not None or self._loaded.resolved.adapter == "local":
            return False
        ours = {process.incarnation for process in self._crew.processes}
        try:
            return others_live(redis, self._config.database.redis.key_prefix, ours, ASK_TIMEOUT_S)
        except StoreUnavailable as error:
            _log.warning("%s; taking it that there are some", error)
            return True

    def _unlink(self) -> None:
        """Once only: the next process may listen there before this one has ended."""
        if self._config.unix_socket.enabled and not self._unlinked:
            self._unlinked = True
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._config.unix_socket.path)
