"""A worker's parts stop in reverse order, and none of them holds up the end."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from engine.worker.stopping import stop_all


class Part:
    """Notes its stop, after which it waits, or raises."""

    def __init__(self, stopped: list[Part], *, waits: bool = False, error: Exception | None = None) -> None:
        self._stopped = stopped
        self._waits = waits
        self._error = error

    async def start(self) -> None:
        """There is nothing to start."""

    async def stop(self) -> None:
        self._stopped.append(self)
        if self._error is not None:
            raise self._error
        if self._waits:
            await asyncio.Event().wait()


async def test_whoever_waits_for_a_peer_is_left_when_the_time_is_over(caplog: pytest.LogCaptureFixture) -> None:
    stopped: list[Part] = []
    parts = [Part(stopped), Part(stopped, waits=True), Part(stopped)]
    assert await stop_all(parts, time.monotonic())
    assert stopped == parts[::-1]
    assert [record.getMessage() for record in caplog.records] == ["Part did not stop in time: a peer does not answer"]


async def test_a_part_that_fails_is_said_and_the_others_stop(caplog: pytest.LogCaptureFixture) -> None:
    stopped: list[Part] = []
    parts = [Part(stopped), Part(stopped, error=ValueError("no"))]
    assert not await stop_all(parts, time.monotonic() + 60)
    assert stopped == parts[::-1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
