"""The border to peers: whatever the library of one raises, or whatever its answer breaks here, comes out as one error.

Redis, a queue or a database may be behind something that resets, answers nonsense or hangs up in the middle, and a
library then raises what nobody expects of it. That must never end the task that asked, and with it the worker: callers
wait out StoreUnavailable and nothing else. A fault of our own logic, outside of a driver, still ends the worker.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeVar

from engine.errors import EngineError, StoreUnavailable
from engine.tasks import spawn

#: Faults of our own, and errors that say already what they mean: never to be waited out as something else.
OURS = (EngineError, AssertionError)
#: Between two tries of a round that fails.
RETRY_MIN_S, RETRY_MAX_S = 0.1, 2.0

D = TypeVar("D")

_END = object()

_log = logging.getLogger(__name__)


def guard(driver: D, part: str, count: Callable[[str], None] | None = None) -> D:
    """The same driver: of its public coroutines and asynchronous generators none raises anything but what is `OURS`;
    all else becomes StoreUnavailable.

    :param part: what it is for, in errors. :param count: called with `part` for each StoreUnavailable that leaves it.
    """
    for kind, wrap in ((inspect.iscoroutinefunction, _guarded), (inspect.isasyncgenfunction, _guarded_pages)):
        for name, _ in inspect.getmembers(type(driver), kind):
            if not name.startswith("_"):
                setattr(driver, name, wrap(getattr(driver, name), part, name, count))
    return driver


def keep(round_: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
    """Have rounds of work with a peer done in the background, one after the other, for ever.

    A round that raises, whatever that is, is done again after a pause, and the first of several is logged. For work
    that keeps nothing of a round that failed; anything else belongs into a task of `spawn`, which ends the worker.
    """
    return spawn(_rounds(round_, name), name)


async def _rounds(round_: Callable[[], Awaitable[None]], name: str) -> None:
    delay_s = RETRY_MIN_S
    while True:
        try:
            await round_()
        except AssertionError:
            raise
        except Exception as error:  # noqa: BLE001 (no answer of a peer, and no library for it, ends a worker)
            level = logging.WARNING if delay_s == RETRY_MIN_S else logging.DEBUG
            _log.log(level, "%s: %s; trying again", name, in_words(error))
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)
        else:
            delay_s = RETRY_MIN_S


def in_words(error: Exception) -> str:
    """A type that is not to be expected is named, so that the log shows it."""
    if isinstance(error, EngineError | OSError):
        return str(error) or type(error).__name__
    return f"{type(error).__name__}: {error}"


def _guarded(
    method: Callable[..., Awaitable[Any]], part: str, name: str, count: Callable[[str], None] | None
) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        with _border(part, name, count):
            return await method(*args, **kwargs)

    return call


def _guarded_pages(
    method: Callable[..., AsyncIterator[Any]], part: str, name: str, count: Callable[[str], None] | None
) -> Callable[..., AsyncIterator[Any]]:
    @functools.wraps(method)
    async def pages(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        found = method(*args, **kwargs)
        while True:
            # What its reader raises between two pages is none of the peer's.
            with _border(part, name, count):
                page = await anext(found, _END)
            if page is _END:
                return
            yield page

    return pages


@contextlib.contextmanager
def _border(part: str, name: str, count: Callable[[str], None] | None) -> Iterator[None]:
    try:
        yield
    except StoreUnavailable as error:
        _counted(error, part, count)
        raise
    except OURS:
        raise
    except Exception as error:
        unavailable = StoreUnavailable(f"{part} {name}: {in_words(error)}")
        _counted(unavailable, part, count)
        raise unavailable from error


def _counted(error: StoreUnavailable, part: str, count: Callable[[str], None] | None) -> None:
    """Once, however many methods of the driver it passes through."""
    if count is not None and not error.counted:
        error.counted = True
        count(part)
