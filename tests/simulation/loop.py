"""An event loop in virtual time, one for each simulated worker: it does nothing until the world lets it.

A worker that is stopped (SIGSTOP) is a loop that nobody runs; a killed one is a loop that is forgotten.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

#: Turns at one moment; more is a loop that never waits.
MAX_TURNS = 10_000


class SimLoop(asyncio.AbstractEventLoop):
    """What asyncio's own coroutines need of a loop, and no more; anything else raises NotImplementedError.

    :param now: virtual seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[Any]] = []
        #: Contexts given to the exception handler: nothing may ever come here.
        self.errors: list[dict[str, Any]] = []

    # --- for the world

    @property
    def busy(self) -> bool:
        return bool(self._ready)

    def next_timer(self) -> float | None:
        """When the earliest timer is due."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def run(self) -> None:
        """Run everything that can run now."""
        if not self._ready and not ((due := self.next_timer()) is not None and due <= self._now()):
            # So it is most of the times: the world asks each worker whenever something happened anywhere.
            return
        asyncio._set_running_loop(self)
        try:
            for _ in range(MAX_TURNS):
                due = self.next_timer()
                while due is not None and due <= self._now():
                    self._ready.append(heapq.heappop(self._timers)[2])
                    due = self.next_timer()
                if not self._ready:
                    return
                for _ in range(len(self._ready)):
                    handle = self._ready.popleft()
                    if not handle.cancelled():
                        handle._run()
            self.errors.append({"message": f"{MAX_TURNS} turns of the loop, and no end"})
        finally:
            asyncio._set_running_loop(None)

    def forget(self) -> None:
        """The process is gone: nothing of it ever runs again."""
        self._ready.clear()
        self._timers.clear()
        for task in self._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]

    # --- for asyncio

    def time(self) -> float:
        return self._now()

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """`next_timer` drops them."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks = [*(known for known in self._tasks if not known.done()), task]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)
