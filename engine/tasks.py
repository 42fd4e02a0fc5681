"""Background tasks with an owner: one that dies of an exception is noticed at once and ends its process.

A worker without its reporter, sweep or leader loop would look alive and be wrong; a new one is right within a second.
Work for one connection is no such task: whatever it raises ends that connection and harms nobody else.
"""

from __future__ import annotations

import asyncio
import time
import types
from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any

#: Key in the loop's exception context that marks the death of a background task.
FATAL = "fatal"
#: Time for a cancelled task to clean up before it is cancelled again.
CANCEL_AGAIN_S = 0.25
#: A time limit that ends this much too late was not kept by the loop: what came meanwhile has not been read.
LATE_S = 0.1
#: What is left to read it.
READING_S = 0.25


def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Run `work` in the background. An exception that ends it goes to the loop's exception handler, marked `FATAL`."""
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_on_done)
    return task


def serve(work: Coroutine[Any, Any, None], name: str, end: Callable[[], object]) -> asyncio.Task[None]:
    """Run `work` for one connection in the background.

    :param end: ends that connection; called when `work` raises, before the loop's exception handler is.
    """
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(partial(_on_served, end))
    return task


def serve_eagerly(work: Coroutine[Any, Any, None], name: str, end: Callable[[], object]) -> None:
    """`serve`, but begun at once; what never has to wait never becomes a task.

    Only for work that uses nothing that needs a current task (such as `asyncio.timeout`) before it first waits.
    """
    try:
        waits_for = work.send(None)
    except StopIteration:
        return
    except Exception as error:  # noqa: BLE001 (whatever it is, it concerns one connection)
        _failed(asyncio.get_running_loop(), name, error, end)
        return
    serve(_finish(work, waits_for), name, end)


async def cancel(task: asyncio.Task[None] | None, timeout_s: float = 1.0) -> None:
    """Cancel a background task and wait until it has ended, at most `timeout_s`."""
    end = time.monotonic() + timeout_s
    while task is not None and not task.done() and (left_s := end - time.monotonic()) > 0:
        # More than once: before Python 3.12, asyncio.wait_for (redis-py sends through it) swallows a cancellation that
        # arrives as its work is done, and the task would go on.
        task.cancel()
        await asyncio.wait([task], timeout=min(left_s, CANCEL_AGAIN_S))


class within:
    """`asyncio.timeout`, but its end cannot be overheard: TimeoutError after `timeout_s`, or soon after.

    Before Python 3.12 `asyncio.wait_for` swallows a cancellation that arrives as its work is done, and redis-py sends
    every command through it. One that waits for a reply then waits without an end, and a loop of commands goes on for
    ever. So the block is cancelled again and again until it is left.

    A process that itself stood still (stopped, or out of CPU) finds the limit passed and the reply unread, and must not
    take its own silence for the other's: it gets `READING_S` more, once.
    """

    __slots__ = ("_before", "_cancels", "_ends_at", "_excused", "_task", "_timeout_s", "_timer")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = max(0.0, timeout_s)
        self._cancels = 0
        self._excused = False

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("there is no task whose work could be ended")
        self._task = task
        self._before = task.cancelling()
        loop = asyncio.get_running_loop()
        self._ends_at = loop.time() + self._timeout_s
        self._timer = loop.call_later(self._timeout_s, self._end)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: types.TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._cancels:
            return
        for _cancel in range(self._cancels):
            self._task.uncancel()
        # Somebody else's cancellation goes on.
        if kind is asyncio.CancelledError and self._task.cancelling() <= self._before:
            raise TimeoutError from error

    def _end(self) -> None:
        loop = asyncio.get_running_loop()
        if not self._excused and loop.time() - self._ends_at > LATE_S:
            self._excused = True
            self._timer = loop.call_later(READING_S, self._end)
        else:
            self._cancel()

    def _cancel(self) -> None:
        self._task.cancel()
        self._cancels += 1
        self._timer = asyncio.get_running_loop().call_later(CANCEL_AGAIN_S, self._cancel)


async def _finish(work: Coroutine[Any, Any, None], waits_for: Any) -> None:
    await _go_on(work, waits_for)


@types.coroutine
def _go_on(work: Coroutine[Any, Any, None], waits_for: Any) -> Generator[Any, Any, None]:
    while True:
        try:
            value = yield waits_for
        except BaseException as error:  # noqa: BLE001 (handed to the work, cancellation included)
            step = partial(work.throw, error)
        else:
            step = partial(work.send, value)
        try:
            waits_for = step()
        except StopIteration:
            return


def _on_done(task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        task.get_loop().call_exception_handler(
            {"message": f"background task {task.get_name()} died", "exception": error, "task": task, FATAL: True}
        )


def _on_served(end: Callable[[], object], task: asyncio.Task[None]) -> None:
    if task.cancelled():
        return
    error = task.exception()
    if error is not None:
        _failed(task.get_loop(), task.get_name(), error, end)


def _failed(loop: asyncio.AbstractEventLoop, name: str, error: BaseException, end: Callable[[], object]) -> None:
    end()
    loop.call_exception_handler({"message": f"{name} failed; its connection was ended", "exception": error})
