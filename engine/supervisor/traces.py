"""Traces that are under way on this node, kept until they end: a worker that starts meanwhile follows them too, and an
end that a worker cannot tell itself is told here.

What workers tell never goes through here; they write to the command by themselves.
"""

from __future__ import annotations

import dataclasses
import math
import selectors
import socket
import time
from collections.abc import Sequence
from typing import Any

from engine.errors import ConfigError
from engine.supervisor.commands import Request
from engine.supervisor.worker_process import WorkerProcess
from engine.trace.follow import MAX_TRACES, Follow, decode
from engine.trace.lines import GONE, Sender

_GONE = "this worker has ended, and what it had not told yet is lost; its successor is followed as soon as it serves"
_STOPPED = "the engine stops here"


class Traces:
    """:param selector: of the loop that this is part of; it hears when a command goes away."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._traces: list[_Trace] = []

    def begin(self, request: Request, workers: Sequence[WorkerProcess], slots: int) -> None:
        """Have the workers follow what was asked for, and answer how many of so many slots do."""
        assert request.lines is not None
        try:
            follow = decode(request.words[1])
        except ConfigError as error:
            request.say(str(error))
            request.end(2)
            return
        if len(self._traces) >= MAX_TRACES:
            request.say(f"{MAX_TRACES} traces are under way already; end one of them, or wait")
            request.end(1)
            return
        trace = _Trace(follow, request.lines.dup(), time.monotonic() + follow.seconds)
        self._keep(trace)
        trace.tell(workers)
        request.say(f"{len(trace.told)} of {slots} workers follow it for {follow.seconds} s")
        request.end(0 if trace.told else 1)
        if not trace.told:
            self._end(trace)

    def look_after(self, workers: Sequence[WorkerProcess]) -> None:
        """Have those follow that have come, say who has gone, and end what is over."""
        for trace in list(self._traces):
            if time.monotonic() >= trace.ends_at:
                self._end(trace)
                continue
            for pid in trace.told.keys() - {worker.pid for worker in workers}:
                trace.say(trace.told.pop(pid), _GONE)
            trace.tell(workers)

    def stop(self) -> None:
        for trace in list(self._traces):
            for slot in sorted(trace.told.values()):
                trace.say(slot, _STOPPED)
            self._end(trace)

    def give(self) -> list[dict[str, Any]]:
        """What the next program of this process needs to go on with them."""
        return [
            {
                "word": trace.follow.encode(),
                "lines": trace.lines.fileno(),
                "ends_at": trace.ends_at,
                "told": list(trace.told.items()),
            }
            for trace in self._traces
        ]

    def adopt(self, given: Sequence[dict[str, Any]]) -> None:
        """:param given: by `give`."""
        for said in given:
            lines = socket.socket(fileno=said["lines"])
            self._keep(_Trace(decode(said["word"]), lines, said["ends_at"], dict(said["told"])))

    def _keep(self, trace: _Trace) -> None:
        self._traces.append(trace)
        # Nothing ever comes from the command but its end.
        self._selector.register(trace.lines, selectors.EVENT_READ, lambda: self._end(trace))

    def _end(self, trace: _Trace) -> None:
        self._traces.remove(trace)
        self._selector.unregister(trace.lines)
        trace.lines.close()


@dataclasses.dataclass(slots=True)
class _Trace:
    """:ivar ends_at: by the monotonic clock. :ivar told: slots of the workers that follow it, by process id."""

    follow: Follow
    lines: socket.socket
    ends_at: float
    told: dict[int, int] = dataclasses.field(default_factory=dict)

    def tell(self, workers: Sequence[WorkerProcess]) -> None:
        """Those that do not follow it yet, if they listen now."""
        rest = dataclasses.replace(self.follow, seconds=max(1, math.ceil(self.ends_at - time.monotonic())))
        for worker in workers:
            if worker.pid not in self.told and worker.follow(rest, self.lines.fileno()):
                self.told[worker.pid] = worker.slot

    def say(self, slot: int, text: str) -> None:
        Sender(self.lines, slot).send(GONE, text)
