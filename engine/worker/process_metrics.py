"""Watches this process for the metrics page: its CPU, memory, descriptors, collector, and how late its loop is.

It must cost nothing that a client could notice: ten timers a second, and a look at `/proc` with each heartbeat.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import os
import platform
import resource
import time
from pathlib import Path
from typing import Any

from engine._fast import subscriber
from engine.metrics.process import ProcessMetrics

#: How often the loop's lateness is measured.
SAMPLE_EVERY_S = 0.1
#: How often descriptors are counted where that means listing them all.
LIST_EVERY_S = 30.0

_SELF = Path("/proc/self")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class ProcessWatch:
    """:param slot: the worker's, the label of its series."""

    def __init__(self, metrics: ProcessMetrics, slot: int) -> None:
        self._metrics = metrics
        self._worker = str(slot)
        self._timer: asyncio.TimerHandle | None = None
        self._collecting_since = 0.0
        self._cpu_s = (0.0, 0.0)
        self._listed_at = -LIST_EVERY_S

    async def start(self) -> None:
        self._metrics.build.set(1, importlib.metadata.version("engine"), platform.python_version())
        self._metrics.started_s.set(time.time(), self._worker)
        gc.callbacks.append(self._on_collection)
        self._sample_later()
        self.sync()

    async def stop(self) -> None:
        gc.callbacks.remove(self._on_collection)
        if self._timer is not None:
            self._timer.cancel()

    def sync(self) -> None:
        """What the system knows of this process; nothing where it has no `/proc`."""
        metrics, worker = self._metrics, self._worker
        used = resource.getrusage(resource.RUSAGE_SELF)
        user_s, system_s = used.ru_utime, used.ru_stime
        user_before_s, system_before_s = self._cpu_s
        self._cpu_s = user_s, system_s
        metrics.user_cpu_s.add(user_s - user_before_s, worker)
        metrics.system_cpu_s.add(system_s - system_before_s, worker)
        metrics.cpu_s.add(user_s + system_s - user_before_s - system_before_s, worker)
        metrics.connection_objects.set(subscriber.objects(), worker)
        metrics.max_fds.set(resource.getrlimit(resource.RLIMIT_NOFILE)[0], worker)
        try:
            pages, resident_pages, *_ = map(int, (_SELF / "statm").read_text().split())
            open_fds = _counted()
        except OSError:
            return
        metrics.virtual_bytes.set(pages * _PAGE_BYTES, worker)
        metrics.resident_bytes.set(resident_pages * _PAGE_BYTES, worker)
        if open_fds:
            metrics.open_fds.set(open_fds, worker)
        else:
            self._list_descriptors()

    def _list_descriptors(self) -> None:
        """Before Linux 6.2 the folder does not show its size. With 20,000 descriptors the listing takes tenths of a
        second, so that it is a thread's work, and rare."""
        loop = asyncio.get_running_loop()
        if loop.time() - self._listed_at >= LIST_EVERY_S:
            self._listed_at = loop.time()
            loop.run_in_executor(None, _listed).add_done_callback(
                lambda listed: self._metrics.open_fds.set(listed.result(), self._worker)
            )

    def _sample_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(due := loop.time() + SAMPLE_EVERY_S, self._sample, due)

    def _sample(self, due: float) -> None:
        self._metrics.loop_lag_s.observe(max(0.0, asyncio.get_running_loop().time() - due), self._worker)
        self._sample_later()

    def _on_collection(self, phase: str, _: dict[str, Any]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._collecting_since = now
        else:
            self._metrics.collection_s.observe(now - self._collecting_since, self._worker)


def _counted() -> int:
    """As the folder's size, since Linux 6.2; 0 before."""
    return (_SELF / "fd").stat().st_size


def _listed() -> int:
    # The listing has a descriptor of its own open.
    return len(os.listdir(_SELF / "fd")) - 1
