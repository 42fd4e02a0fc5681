"""The in-process log: a clock that steps, and a bound on what cannot be told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config.webhooks import MAX_SETTLE_MS
from engine.metrics.metrics import Metrics
from engine.occupancy import transition_log
from engine.occupancy.transition_log import SequenceClock, TransitionLog

HOUR_US = 3_600_000_000


@given(st.lists(st.tuples(st.integers(-10 * HOUR_US, 10 * HOUR_US), st.integers(0, 3)), max_size=30))
def test_numbers_grow_whatever_the_clock_does(steps: list[tuple[int, int]]) -> None:
    now = [10**15]
    clock = SequenceClock(lambda: now[0])
    numbers = []
    for step, uses in steps:
        now[0] += step
        numbers += [clock.next() for _ in range(uses)]
        assert not numbers or clock.now_us() >= numbers[-1]
    assert numbers == sorted(set(numbers))


def test_a_step_back_does_not_hold_up_what_settles() -> None:
    now = [10**15]
    clock = SequenceClock(lambda: now[0])
    clock.next()
    now[0] -= 24 * HOUR_US
    log = TransitionLog(clock, Metrics().occupancy.dropped)
    log.append_gone(clock.next(), "channel_vacated", "app", "room", 3000, "", "")
    now[0] += 2_999_001
    assert log.due(1).transitions == []
    assert log.due(1).next_due_in_ms == 1
    now[0] += 1_000
    [vacated] = log.due(1).transitions
    # People are told the time of day, not that of the sequence.
    assert vacated.time_ms == (10**15 - 24 * HOUR_US) // 1000


def test_what_settles_is_due_in_time_after_the_clock_has_caught_up_with_a_step_back() -> None:
    now = [10**15]
    clock = SequenceClock(lambda: now[0])
    clock.next()
    now[0] -= 2_000_000
    log = TransitionLog(clock, Metrics().occupancy.dropped)
    log.append_gone(clock.next(), "channel_vacated", "app", "room", 3000, "", "")
    for _ in range(2):
        now[0] += 1_400_000
        assert log.due(1).transitions == []
    now[0] += 201_000
    [vacated] = log.due(1).transitions
    assert log.commit([vacated])
    # The longest that anything may settle later the clock is right by itself.
    now[0] += MAX_SETTLE_MS * 1000
    assert clock.now_us() == now[0]


@pytest.fixture
def small() -> Iterator[int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transition_log, "MAX_ENTRIES", 3)
        yield 3


def test_a_full_log_gives_up_the_oldest(small: int) -> None:
    clock = SequenceClock(lambda: 10**15)
    metrics = Metrics()
    log = TransitionLog(clock, metrics.occupancy.dropped)
    for n in range(small + 2):
        log.append_come(clock.next(), "channel_occupied", "app", f"c{n}", "", "", "")
    assert [t.channel for t in log.due(10).transitions] == ["c2", "c3", "c4"]
    assert metrics.value("occupancy_dropped_transitions_total") == 2
