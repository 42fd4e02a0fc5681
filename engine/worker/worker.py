"""The child process: builds every part, starts them in order, serves, and stops them in reverse order.

The only file that knows everything. Forked by the supervisor's fork server, which calls `main`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import time
from typing import Any

from engine.control import (
    API_SOCKET,
    EXIT_NO_APPS,
    Beat,
    ControlError,
    Order,
    Phase,
    Trace,
    WorkerSpec,
    receive_word,
    send_beat,
    unseal,
)
from engine.errors import CloseCode, ConfigError, SourceUnavailable, StoreUnavailable
from engine.log.notices import Notices
from engine.log.setup import set_up_logging
from engine.tasks import FATAL, cancel, spawn
from engine.worker.departure import Departure
from engine.worker.entrances import Sockets
from engine.worker.faults import Faults
from engine.worker.loop import Loop
from engine.worker.parts import Part, Parts
from engine.worker.stopping import stop_all

HEARTBEAT_S = 1.0
#: Characters of the reasons in a report to the supervisor.
MAX_TROUBLE = 500
#: For the process to end after its parts.
LAST_S = 0.5
#: Exit status after a fault of our own: the supervisor starts another worker.
EXIT_FAULT = 70
#: Arguments in front of the listening sockets.
_BEFORE_SOCKETS = 5

_log = logging.getLogger(__name__)


class Worker:
    """One worker process.

    :param number: of the spec. :param place: whose metrics, and whose part of the log that workers share, it has.
    :param control: brings newer specs; the supervisor's end of it is closed when the supervisor is gone.
    """

    def __init__(self, spec: WorkerSpec, number: int, place: int, control: socket.socket, listening: Sockets) -> None:
        self._spec = spec
        self._number = number
        self._place = place
        self._control = control
        self._listening = listening
        self._config = spec.loaded.config
        self._status = 0
        self._asked = False
        self._parts: Parts | None = None
        self._departure: Departure | None = None
        #: What was ordered before there was anything that could depart.
        self._early: Order | None = None
        self._faults: Faults | None = None
        #: The newest spec that was not applied yet: its number and descriptor.
        self._newer: tuple[int, int] | None = None
        self._some_newer = asyncio.Event()

    async def run(self) -> int:
        """Serve until the supervisor ends it; the exit status."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_loop_exception)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        self._control.setblocking(False)
        loop.add_reader(self._control, self._on_control)
        parts = Parts(self._spec, self._place, self._listening)
        self._faults = Faults(parts.metrics, Notices(_log))
        started: list[Part] = []
        beat: asyncio.Task[None] | None = None
        apply: asyncio.Task[None] | None = None
        try:
            for part in parts.in_order:
                started.append(part)
                await part.start()
            # What lives now lives for ever; the collector need not look at it again.
            gc.collect()
            gc.freeze()
            parts.health.clear("worker")
            self._parts = parts
            beat = spawn(self._beat(parts), "heartbeat")
            apply = spawn(self._apply_specs(parts), "apply-specs")
            await self._depart(parts)
        except (StoreUnavailable, ConfigError) as error:
            self._cannot_serve(error)
            self._status = EXIT_FAULT
        except SourceUnavailable as error:
            self._cannot_serve(error)
            self._status = EXIT_NO_APPS
        finally:
            await cancel(apply)
            ends_at = self._departure.ends_at if self._departure is not None else 0.0
            ends_at = (ends_at or time.monotonic() + self._config.shutdown_grace_period) - LAST_S
            if not await stop_all(started, ends_at):
                self._status = EXIT_FAULT
            await cancel(beat)
            parts.traffic_metrics.sync()
        return self._status

    def _cannot_serve(self, error: Exception) -> None:
        _log.error("cannot serve: %s", error)
        send_beat(self._control, Beat(False, "", self._number, trouble=str(error)[:MAX_TROUBLE]))

    async def _beat(self, parts: Parts) -> None:
        """Report to the supervisor, from this loop, that it turns, and who we are in the cluster."""
        while True:
            self._report(parts)
            parts.process_watch.sync()
            parts.memory_guard.look()
            parts.traffic_metrics.sync()
            await asyncio.sleep(HEARTBEAT_S)

    def _report(self, parts: Parts) -> None:
        reached = self._departure.reached if self._departure is not None else Phase.SERVING
        beat = Beat(
            True,
            parts.reporter.incarnation,
            self._number,
            reached,
            len(parts.hub),
            parts.health.own()[:MAX_TROUBLE],
            self._asked,
        )
        send_beat(self._control, beat)

    async def _apply_specs(self, parts: Parts) -> None:
        """Apply newer specs; one that is overtaken by the next is passed over."""
        while True:
            await self._some_newer.wait()
            self._some_newer.clear()
            while self._newer is not None:
                (number, fd), self._newer = self._newer, None
                # In a thread: with thousands of applications it takes a while, and connections are served meanwhile.
                spec = await asyncio.to_thread(unseal, fd)
                await parts.apply_config(spec.loaded)
                self._number = number
                self._report(parts)

    async def _depart(self, parts: Parts) -> None:
        """Serve until every phase of the departure is over."""
        self._departure = Departure(parts, self._config.shutdown_grace_period, lambda: self._report(parts))
        if self._early is not None:
            self._departure.order(self._early)
        await self._departure.run()

    def _end(self) -> None:
        """Go through all phases at once, without the supervisor."""
        self._on_order(Order(Phase.GONE, code=CloseCode.RECONNECT))

    def _on_signal(self) -> None:
        """The supervisor is told, and says when: nobody is sent away before there is somewhere to go."""
        self._asked = True

    def _on_control(self) -> None:
        """A newer spec, an order, or the end of the supervisor."""
        try:
            while (word := receive_word(self._control)) is not None:
                if isinstance(word, Trace):
                    self._on_trace(word)
                else:
                    self._on_order(word) if isinstance(word, Order) else self._on_spec(word)
            return
        except ConnectionResetError:
            _log.error("the supervisor is gone; stopping")
        except ControlError as error:
            _log.error("%s; stopping", error)
            self._status = EXIT_FAULT
        asyncio.get_running_loop().remove_reader(self._control)
        self._end()

    def _on_spec(self, newer: tuple[int, int]) -> None:
        if self._newer is not None:
            os.close(self._newer[1])
        self._newer = newer
        self._some_newer.set()

    def _on_trace(self, trace: Trace) -> None:
        if self._parts is None:
            trace.connection.close()
        else:
            self._parts.tracing.begin(trace.follow, trace.connection)

    def _on_order(self, order: Order) -> None:
        if order.phase == Phase.SERVING:
            if self._departure is not None:
                self._departure.note(order)
            return
        if self._departure is None:
            self._early = order
        else:
            self._departure.order(order)

    def _on_loop_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get(FATAL):
            _log.critical("%s", context["message"], exc_info=context["exception"])
            self._status = EXIT_FAULT
            self._end()
        elif self._faults is not None:
            self._faults.note(context)
        else:
            loop.default_exception_handler(context)


def main(arguments: list[str]) -> int:
    """:param arguments: slot, place, the spec's number, then descriptors: spec, control socket, listening sockets; in
    front of those for the HTTP API only stands `API_SOCKET`."""
    # One for all processes of a service is meant for the supervisor.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    slot, place, number, spec_fd, control_fd = map(int, arguments[:_BEFORE_SOCKETS])
    spec = unseal(spec_fd)
    config = spec.loaded.config
    set_up_logging(config.logging, debug=config.debug, slot=slot)
    control = socket.socket(fileno=control_fd)
    listening = Sockets([], [])
    for word in arguments[_BEFORE_SOCKETS:]:
        of_api = word.startswith(API_SOCKET)
        (listening.api if of_api else listening.main).append(socket.socket(fileno=int(word.removeprefix(API_SOCKET))))

    async def run() -> int:
        return await Worker(spec, number, place, control, listening).run()

    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(run())
