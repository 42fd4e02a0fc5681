"""What a process says of itself is what the system says of it, and a loop that is held up is seen."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import platform
import socket
import time
from collections.abc import AsyncIterator

import pytest

from engine.metrics.metrics import Metrics
from engine.worker import process_metrics
from engine.worker.process_metrics import SAMPLE_EVERY_S, ProcessWatch
from tests.support.waiting import until


@pytest.fixture
async def metrics() -> AsyncIterator[Metrics]:
    metrics = Metrics()
    watch = ProcessWatch(metrics.process, 3)
    await watch.start()
    yield metrics
    await watch.stop()


def lag(metrics: Metrics, bucket: int) -> float:
    return metrics.value("event_loop_lag_seconds_bucket", "3", str(bucket))


async def test_what_is_running_is_told(metrics: Metrics) -> None:
    assert metrics.value("build_info", importlib.metadata.version("engine"), platform.python_version()) == 1
    assert abs(metrics.value("process_start_time_seconds", "3") - time.time()) < 60


@pytest.mark.parametrize("listed", [False, True], ids=["counted", "listed, as before Linux 6.2"])
async def test_descriptors_and_memory_are_measured(listed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = Metrics()
    watch = ProcessWatch(metrics.process, 3)
    if listed:
        monkeypatch.setattr(process_metrics, "_counted", lambda: 0)
    before = len(os.listdir("/proc/self/fd"))
    pairs = [socket.socketpair() for _ in range(50)]
    watch.sync()
    await until(lambda: metrics.value("process_open_fds", "3") > 0)
    assert abs(metrics.value("process_open_fds", "3") - before - 100) < 10
    assert metrics.value("process_max_fds", "3") >= 256
    assert metrics.value("process_resident_memory_bytes", "3") > 10_000_000
    for one, other in pairs:
        one.close()
        other.close()


async def test_a_loop_that_is_held_up_is_seen(metrics: Metrics) -> None:
    # Up to 5 ms late is what a busy machine does to anybody; half a second is ours.
    await until(lambda: sum(lag(metrics, bucket) for bucket in range(12)) >= 1)
    late = lag(metrics, 8) + lag(metrics, 9)
    time.sleep(SAMPLE_EVERY_S + 0.3)  # noqa: ASYNC251 (holding it up is what this is about)
    await until(lambda: lag(metrics, 8) + lag(metrics, 9) > late)


async def test_cpu_and_collections_are_counted_until_it_stops(metrics: Metrics) -> None:
    gc.collect()
    counted = metrics.value("gc_pause_seconds_sum", "3")
    assert counted > 0
    watch = ProcessWatch(metrics.process, 4)
    await watch.start()
    await watch.stop()
    gc.collect()
    assert metrics.value("gc_pause_seconds_sum", "4") == 0
    watch.sync()
    before, ours = metrics.value("process_cpu_seconds_total", "4"), time.process_time()
    await until(lambda: time.process_time() > ours + 0.02)
    watch.sync()
    assert metrics.value("process_cpu_seconds_total", "4") - before >= 0.02
