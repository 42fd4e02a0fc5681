"""What strangers cause is counted always and logged once a minute."""

from __future__ import annotations

import logging

import pytest

from engine.errors import CloseCode, PusherError
from engine.log.notices import MAX_KINDS, Notices
from engine.metrics.metrics import Metrics
from engine.worker.faults import Faults


def test_every_fault_counts_and_each_kind_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    metrics, now_s = Metrics(), 0.0
    faults = Faults(metrics, Notices(logging.getLogger("engine"), lambda: now_s))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            faults.note({"message": "publish failed", "exception": ZeroDivisionError()})
        faults.note({"message": "publish failed", "exception": KeyError()})
        now_s = 60.0
        faults.note({"message": "publish failed", "exception": ZeroDivisionError()})
    assert metrics.value("connection_faults_total") == 5
    assert [record.getMessage() for record in caplog.records] == [
        "publish failed",
        "publish failed",
        "publish failed (and 2 times since this was logged last)",
    ]


def test_kinds_that_never_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(Metrics(), Notices(logging.getLogger("engine"), lambda: 0.0))
    with caplog.at_level(logging.ERROR):
        for number in range(1000):
            faults.note({"message": f"fault {number}"})
    assert len(caplog.records) == MAX_KINDS + 1


def test_a_flood_of_kinds_hides_none_that_comes_later(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 0.0
    faults = Faults(Metrics(), Notices(logging.getLogger("engine"), lambda: now_s))
    for number in range(1000):
        faults.note({"message": f"fault {number}"})
    caplog.clear()
    now_s = 60.0
    with caplog.at_level(logging.ERROR):
        faults.note({"message": "the disk is full"})
    assert [record.getMessage() for record in caplog.records] == ["the disk is full"]


def test_what_somebody_sent_makes_no_kind_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices(logging.getLogger("engine"), lambda: 0.0)
    with caplog.at_level(logging.INFO):
        for number in range(MAX_KINDS):
            error = PusherError(CloseCode.UNAUTHORIZED, "Origin not allowed", remedy="Name it.")
            error.instance = f"It was {number}. "
            notices.refused("a", "a client", error)
        notices.note(logging.INFO, "other", "something else")
    assert [record.getMessage() for record in caplog.records] == [
        "app a: a client was refused: Origin not allowed. It was 0. Name it.",
        "something else",
    ]
