"""Keeps a worker's applications as its database has them: reads the table at start and then again and again.

A part of every worker when `app_manager.driver` names a database. A database that cannot be read changes nothing: the
copy goes on serving, for as long as `app_manager.cache.ttl` allows.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.app import App
from engine.app_manager import Changes
from engine.apps.entries import Entries
from engine.config.root import Config
from engine.errors import SourceUnavailable
from engine.interfaces import AppSource
from engine.tasks import cancel, spawn, within

#: How long the start waits for the first read: a database that is started with the engine may need a while.
START_TIMEOUT_S = 20.0
#: Of one read; drivers may give up earlier.
READ_TIMEOUT_S = 10.0
RETRY_MAX_S = 5.0

_log = logging.getLogger(__name__)


class AppPoll:
    """:param replace: makes these the worker's applications.
    :param on_stale: called with True when the copy is older than `ttl_s`, with False when it is fresh again.
    :param on_failure: called for each read that failed.
    :param ttl_s: how long the copy may serve without a successful read; None is without limit.
    """

    def __init__(
        self,
        source: AppSource,
        entries: Entries,
        replace: Callable[[Sequence[App]], Awaitable[Changes]],
        on_stale: Callable[[bool], None],
        on_failure: Callable[[], None],
        *,
        refresh_s: float,
        ttl_s: float | None,
        start_timeout_s: float = START_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._entries = entries
        self._replace = replace
        self._on_stale = on_stale
        self._on_failure = on_failure
        self._refresh_s = refresh_s
        self._ttl_s = ttl_s
        self._start_timeout_s = start_timeout_s
        self._clock = clock
        self._read_at = clock()
        self._failing = self._stale = False
        self._wake = asyncio.Event()
        #: Who waits for a read that begins after they asked.
        self._waiting: list[asyncio.Future[None]] = []
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return when the applications are known. Raises SourceUnavailable when they could not be read in time."""
        end = self._clock() + self._start_timeout_s
        while True:
            try:
                await self._read()
                break
            except SourceUnavailable as error:
                pause_s = min(self._refresh_s, RETRY_MAX_S)
                if self._clock() + pause_s >= end:
                    raise SourceUnavailable(f"the applications cannot be read: {error}") from error
                self._note(error)
                await asyncio.sleep(pause_s)
        self._note(None)
        self._task = spawn(self._run(), "app-poll")

    async def stop(self) -> None:
        await cancel(self._task)
        self._release(self._waiting)
        await self._source.close()

    async def refresh(self) -> None:
        """Read now; returns when that is done, with whatever outcome."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._wake.set()
        await done

    def reconfigure(self, config: Config) -> None:
        """Other server-wide limits, from the next read on."""
        self._entries.reconfigure(config)

    async def _run(self) -> None:
        pause_s = self._refresh_s
        while True:
            # Workers started together must not ask together.
            await self._pause(pause_s * random.uniform(0.9, 1.0))
            asked, self._waiting = self._waiting, []
            try:
                await self._read()
            except SourceUnavailable as error:
                pause_s = min(pause_s * 2, max(RETRY_MAX_S, self._refresh_s))
                self._note(error)
            else:
                pause_s = self._refresh_s
                self._note(None)
            finally:
                self._release(asked)

    async def _pause(self, timeout_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with within(timeout_s):
                await self._wake.wait()
        self._wake.clear()

    async def _read(self) -> None:
        entries = await self._entries_now()
        self._read_at = self._clock()
        apps = await self._entries.take(entries)
        if apps is not None:
            changes = await self._replace(apps)
            if changes:
                _log.info("applications: %s", changes)

    async def _entries_now(self) -> list[dict[str, Any]]:
        try:
            async with within(READ_TIMEOUT_S):
                return await self._source.read()
        except SourceUnavailable:
            raise
        except TimeoutError:
            raise SourceUnavailable(f"no answer within {READ_TIMEOUT_S:g} s") from None
        except Exception as error:
            # A driver's fault must not end the worker, and with it everybody's connections.
            if not self._failing:
                _log.exception("reading the applications broke")
            raise SourceUnavailable(f"internal error: {type(error).__name__}") from error

    def _note(self, error: SourceUnavailable | None) -> None:
        """One line when reading begins to fail, one when the copy is too old, one when all is well again."""
        if error is not None:
            self._on_failure()
            if not self._failing:
                _log.warning("the applications cannot be read now, they stay as they are: %s", error)
        elif self._failing:
            _log.info("the applications can be read again")
        self._failing = error is not None
        age_s = self._clock() - self._read_at
        stale = self._failing and self._ttl_s is not None and age_s >= self._ttl_s and self._task is not None
        if stale != self._stale:
            self._stale = stale
            if stale:
                _log.error("the applications were last read %.0f s ago; nobody new is let in by so old a copy", age_s)
            self._on_stale(stale)

    @staticmethod
    def _release(asked: Sequence[asyncio.Future[None]]) -> None:
        for done in asked:
            if not done.done():
                done.set_result(None)
