"""The guard of instruction counts: what one more subscriber costs, and when it fails."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.instructions import __main__ as guard
from benchmarks.instructions import hot


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(guard, "versions", lambda: {"python": "3"})
    return {"tolerance": 0.03, "versions": {"python": "3"}, "instructions": {"frame": 1000}}


def test_the_cheapest_round_counts() -> None:
    assert guard.least([("frame", 100.0), ("gate", 7.0), ("frame", 90.0), ("frame", 95.0)]) == {
        "frame": 90.0,
        "gate": 7.0,
    }


def test_the_cost_of_one_more_is_the_difference() -> None:
    counts = guard.per_subscriber({"broadcast@10": 2000.0, "broadcast@60": 12000.0, "frame": 99.6})
    assert counts == {"frame": 100, "broadcast_per_subscriber": 200, "broadcast_10_subscribers": 2000}


@pytest.mark.parametrize(("now", "status"), [(1000, 0), (500, 0), (1030, 0), (1031, 1)])
def test_fails_when_something_became_dearer(stored: dict[str, Any], now: int, status: int) -> None:
    assert guard.compare({"frame": now}, stored) == status


def test_fails_when_a_case_is_new_or_gone(stored: dict[str, Any]) -> None:
    assert guard.compare({}, stored) == 1
    assert guard.compare({"frame": 1000, "new": 1}, stored) == 1


def test_tolerates_more_between_different_versions(stored: dict[str, Any]) -> None:
    stored["versions"] = {"python": "4"}
    assert guard.compare({"frame": 1300}, stored) == 0
    assert guard.compare({"frame": 1301}, stored) == 1


def test_what_is_counted_can_be_called() -> None:
    """Where valgrind is not installed nobody else would notice."""
    for _, _, work in hot.small_cases():
        work()
    hot.deliver_case(hot.FEW, hot.text_frame(b"{}"))()
