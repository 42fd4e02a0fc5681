"""Background tasks: their death is told, and cancelling one ends it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from engine.tasks import FATAL, cancel, serve, serve_eagerly, spawn, within


def test_a_task_that_dies_is_reported_as_fatal() -> None:
    async def run() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

        async def die() -> None:
            raise ZeroDivisionError

        task = spawn(die(), "mayfly")
        await asyncio.wait([task])
        await asyncio.sleep(0)
        return told

    [context] = asyncio.run(run())
    assert context[FATAL]
    assert "mayfly" in context["message"]


@pytest.mark.parametrize("start", [serve, serve_eagerly])
@pytest.mark.parametrize("waits", [False, True])
def test_work_for_one_connection_ends_that_connection_and_nothing_else(
    start: Callable[[Coroutine[Any, Any, None], str, Callable[[], object]], object], waits: bool
) -> None:
    async def run() -> tuple[list[str], list[dict[str, Any]]]:
        told: list[dict[str, Any]] = []
        ended: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

        async def die() -> None:
            if waits:
                await asyncio.sleep(0)
            raise ZeroDivisionError

        start(die(), "publish", lambda: ended.append("ended"))
        while not told:
            await asyncio.sleep(0)
        return ended, told

    ended, [context] = asyncio.run(run())
    assert ended == ["ended"]
    assert FATAL not in context
    assert isinstance(context["exception"], ZeroDivisionError)


async def test_a_task_that_overhears_a_cancellation_is_cancelled_again() -> None:
    async def deaf() -> None:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(3600)

    task = spawn(deaf(), "deaf")
    await asyncio.sleep(0)
    await cancel(task, 5.0)
    assert task.cancelled()
    await cancel(task)
    await cancel(None)


async def test_a_task_that_will_not_end_is_not_waited_for_longer_than_asked() -> None:
    ended = asyncio.Event()

    async def stubborn() -> None:
        while not ended.is_set():
            try:
                await ended.wait()
            except asyncio.CancelledError:
                continue

    task = spawn(stubborn(), "stubborn")
    await asyncio.sleep(0)
    loop = asyncio.get_running_loop()
    start = loop.time()
    await cancel(task, 0.1)
    assert 0.05 < loop.time() - start < 5
    assert not task.done()
    ended.set()
    await asyncio.wait([task])


async def test_a_time_limit_ends_what_overhears_it() -> None:
    overheard = 0

    async def command() -> None:
        nonlocal overheard
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            overheard += 1
            if overheard > 2:
                raise

    with pytest.raises(TimeoutError):
        async with within(0.01):
            while True:
                await command()
    assert overheard == 3
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_time_limit_leaves_what_ends_in_time_alone() -> None:
    async with within(3600):
        await asyncio.sleep(0)
    with pytest.raises(ZeroDivisionError):
        async with within(3600):
            raise ZeroDivisionError
    with pytest.raises(TimeoutError):
        async with within(-1):
            await asyncio.sleep(3600)


async def test_a_time_limit_that_the_loop_overslept_leaves_time_to_read_once() -> None:
    async def standing_still_for(naps: int) -> None:
        async with within(0.01):
            for _ in range(naps):
                time.sleep(0.5)  # noqa: ASYNC251
                await asyncio.sleep(0.001)
            await asyncio.sleep(3600 * (naps - 1))

    await standing_still_for(1)
    with pytest.raises(TimeoutError):
        await standing_still_for(2)


async def test_a_cancellation_from_outside_is_no_end_of_time() -> None:
    heard: list[str] = []

    async def wait() -> None:
        try:
            async with within(0.001):
                try:
                    await asyncio.sleep(3600)
                finally:
                    await asyncio.wait([other])
        except TimeoutError:
            heard.append("time-out")
        except asyncio.CancelledError:
            heard.append("cancelled")
            raise

    async def cancel_it() -> None:
        while not task.cancelling():
            await asyncio.sleep(0)
        task.cancel()

    other = spawn(cancel_it(), "other")
    task = spawn(wait(), "wait")
    await asyncio.wait([task])
    assert heard == ["cancelled"]
    assert task.cancelled()


def test_eager_work_is_done_at_once_or_goes_on_as_a_task() -> None:
    async def run() -> list[str]:
        done: list[str] = []
        gate = asyncio.get_running_loop().create_future()

        async def work(name: str, waits: bool) -> None:
            done.append(f"{name} begun")
            if waits:
                done.append(await gate)
                await asyncio.sleep(0)
                try:
                    async with asyncio.timeout(0):
                        await asyncio.sleep(3600)
                except TimeoutError:
                    done.append("late")
            done.append(f"{name} done")

        serve_eagerly(work("quick", False), "quick", done.clear)
        serve_eagerly(work("slow", True), "slow", done.clear)
        assert done == ["quick begun", "quick done", "slow begun"]
        gate.set_result("open")
        while "slow done" not in done:
            await asyncio.sleep(0)
        return done

    assert asyncio.run(run())[3:] == ["open", "late", "slow done"]
