"""A worker's copy of the database's applications: read at start, read again, and kept while nobody answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from engine.app import App
from engine.app_manager import AppManager, Changes
from engine.apps.entries import Entries
from engine.apps.poll import AppPoll
from engine.errors import SourceUnavailable
from engine.interfaces import AppSource
from engine.metrics.metrics import Metrics
from tests.apps.test_entries import entry
from tests.config.support import loaded
from tests.support.waiting import PATIENCE_S, until


class Source:
    """A table in memory. `problem` is raised by every read while it is set."""

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.entries = list(entries)
        self.problem: Exception | None = None
        self.reads = 0
        self.closed = False

    async def read(self) -> list[dict[str, Any]]:
        self.reads += 1
        await asyncio.sleep(0)
        if self.problem is not None:
            raise self.problem
        return [dict(entry) for entry in self.entries]

    async def close(self) -> None:
        self.closed = True


class PolledApps:
    def __init__(self, source: Source, **options: Any) -> None:
        self.source = source
        self.apps = AppManager()
        self.metrics = Metrics()
        self.changes: list[Changes] = []
        self.stale: list[bool] = []
        self.now_s = 100.0
        as_source: AppSource = source
        self.poll = AppPoll(
            as_source,
            Entries(loaded().config, self.metrics),
            self._replace,
            self.stale.append,
            lambda: self.metrics.apps.unread.add(1),
            **{"refresh_s": 0.02, "ttl_s": None, "clock": lambda: self.now_s} | options,
        )

    async def _replace(self, apps: Sequence[App]) -> Changes:
        self.changes.append(self.apps.replace(apps))
        return self.changes[-1]


@asynccontextmanager
async def polling(source: Source, **options: Any) -> AsyncIterator[PolledApps]:
    polled = PolledApps(source, **options)
    try:
        await polled.poll.start()
        yield polled
    finally:
        await polled.poll.stop()
    assert source.closed


async def test_the_start_waits_for_the_applications() -> None:
    async with polling(Source(entry("1"))) as polled:
        assert polled.apps.by_key("key-1") is not None


async def test_changes_are_seen_by_themselves() -> None:
    source = Source(entry("1"))
    async with polling(source) as polled:
        source.entries = [entry("1", enabled=False), entry("2")]
        await until(lambda: polled.apps.by_id("2") is not None)
        source.entries = [entry("2")]
        await until(lambda: polled.apps.by_id("1") is None)
        assert [str(change) for change in polled.changes] == ["added 1", "added 2; changed 1", "removed 1"]


async def test_nothing_is_done_while_nothing_changes() -> None:
    source = Source(entry("1"))
    async with polling(source) as polled:
        await until(lambda: source.reads > 5)
        assert len(polled.changes) == 1


async def test_a_refresh_reads_at_once_and_what_was_written_before() -> None:
    source = Source(entry("1"))
    async with polling(source, refresh_s=3600) as polled:
        for number in range(2, 6):
            source.entries.append(entry(str(number)))
            await asyncio.wait_for(polled.poll.refresh(), PATIENCE_S)
            assert polled.apps.by_id(str(number)) is not None
        await asyncio.gather(*(polled.poll.refresh() for _ in range(100)))
        assert source.reads < 10, "those who ask together are answered together"


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (SourceUnavailable("connection refused"), "connection refused"),
        (KeyError("secret-1"), "internal error: KeyError"),
    ],
    ids=["unavailable", "a driver's fault"],
)
async def test_the_copy_serves_while_the_database_does_not(
    problem: Exception, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    source = Source(entry("1"))
    async with polling(source) as polled:
        source.problem = problem
        await until(lambda: polled.metrics.value("app_source_errors_total") > 2)
        assert polled.apps.by_id("1") is not None
        source.problem, source.entries = None, [entry("2")]
        await until(lambda: polled.apps.by_id("2") is not None)
        assert polled.stale == []
    lines = [line for line in caplog.messages if "can" in line]
    assert lines == [
        f"the applications cannot be read now, they stay as they are: {told}",
        "the applications can be read again",
    ]


async def test_a_start_without_the_database_fails_in_time() -> None:
    source = Source()
    source.problem = SourceUnavailable("connection refused")
    polled = PolledApps(source)
    starting = asyncio.create_task(polled.poll.start())
    await until(lambda: source.reads > 2)
    assert not starting.done(), "it may be on its way up"
    polled.now_s += 60
    with pytest.raises(SourceUnavailable, match="the applications cannot be read: connection refused"):
        await asyncio.wait_for(starting, PATIENCE_S)
    await polled.poll.stop()


async def test_a_start_outlives_a_database_that_comes_late() -> None:
    source = Source(entry("1"))
    source.problem = SourceUnavailable("connection refused")
    polled = PolledApps(source)
    starting = asyncio.create_task(polled.poll.start())
    await until(lambda: source.reads > 2)
    source.problem = None
    await asyncio.wait_for(starting, PATIENCE_S)
    assert polled.apps.by_id("1") is not None
    await polled.poll.stop()


async def test_a_copy_grows_stale_when_that_is_configured() -> None:
    source = Source(entry("1"))
    async with polling(source, ttl_s=30.0) as polled:
        source.problem = SourceUnavailable("gone")
        await until(lambda: polled.metrics.value("app_source_errors_total") > 1)
        assert polled.stale == []
        polled.now_s += 31
        await until(lambda: polled.stale == [True])
        assert polled.apps.by_id("1") is not None, "whoever is connected stays"
        source.problem = None
        await until(lambda: polled.stale == [True, False])


async def test_without_a_cache_a_copy_is_stale_at_once() -> None:
    source = Source(entry("1"))
    async with polling(source, ttl_s=0.0) as polled:
        source.problem = SourceUnavailable("gone")
        await until(lambda: polled.stale == [True])


async def test_a_refresh_that_fails_returns() -> None:
    source = Source(entry("1"))
    async with polling(source, refresh_s=3600) as polled:
        source.problem = SourceUnavailable("gone")
        await asyncio.wait_for(polled.poll.refresh(), PATIENCE_S)


@pytest.mark.parametrize(
    ("cache", "seconds"),
    [({}, None), ({"ttl": -1}, None), ({"ttl": 300}, 300.0), ({"enabled": False, "ttl": 300}, 0.0)],
)
def test_what_the_options_mean(cache: dict[str, Any], seconds: float | None) -> None:
    config = loaded({"app_manager": {"cache": cache, "array": {"apps": [entry("1")]}}}).config
    assert config.app_manager.cache.serves_s == seconds
