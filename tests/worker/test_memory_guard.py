"""Newcomers are refused while memory is short, and not for a moment longer than that."""

from __future__ import annotations

import pytest

from engine.machine.memory import Memory
from engine.metrics.metrics import Metrics
from engine.worker.memory_guard import MemoryGuard


def test_it_refuses_above_the_threshold_until_there_is_room_again(caplog: pytest.LogCaptureFixture) -> None:
    used = [50, 89, 90, 95, 89, 87, 50]
    told: list[bool] = []
    metrics = Metrics()
    guard = MemoryGuard(0.9, told.append, metrics.process, lambda: Memory(100 << 20, (100 - used[0]) << 20))
    states = []
    while used:
        guard.look()
        states.append(bool(told) and told[-1])
        used.pop(0)
    assert states == [False, False, True, True, True, False, False]
    assert told == [True, False]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "new connections are refused: 90% of 100 MiB are in use; websocket.memory_threshold is 0.9"
    ]
    assert metrics.value("memory_used_bytes") == 50 << 20
    assert metrics.value("memory_limit_bytes") == 100 << 20


def test_without_a_threshold_nobody_is_refused() -> None:
    told: list[bool] = []
    guard = MemoryGuard(1, told.append, Metrics().process, lambda: Memory(100, 0))
    guard.look()
    assert told == []
