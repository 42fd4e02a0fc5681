"""What `make faults` is judged by: lost, doubled and turned around events are seen. Its rows are told apart."""

from __future__ import annotations

import pytest

from tests.faults.__main__ import ALL, main
from tests.faults.numbers import Sent, Session, Tally, percentile, tally
from tests.faults.scenes import SCENES

#: One a second, each accepted at once.
SENT = [Sent("c", number, float(number), number + 0.1) for number in range(1, 10)]
OUTAGE = (4.0, 6.5)


@pytest.mark.parametrize(
    ("heard", "ended", "found"),
    [
        ([1, 2, 3, 4, 5, 6, 7, 8, 9], False, Tally()),
        ([1, 2, 3, 5, 6, 7, 8, 9], False, Tally(missed=1)),
        ([1, 3, 4, 5, 6, 7, 8, 9], False, Tally(lost=1)),
        ([1, 2, 3, 4, 5, 6, 7, 8], False, Tally(lost=1)),
        ([1, 2, 2, 3, 4, 5, 6, 7, 8, 9], False, Tally(doubled=1)),
        ([1, 2, 3, 4, 5, 5, 6, 7, 8, 9], False, Tally(repeated=1)),
        ([1, 3, 2, 4, 5, 6, 7, 8, 9], False, Tally(disordered=1)),
        ([1, 2, 3], True, Tally()),
        ([1, 3], True, Tally(lost=1)),
    ],
)
def test_what_a_connection_did_not_hear_as_it_was_sent_is_seen(heard: list[int], ended: bool, found: Tally) -> None:
    assert tally(SENT, [Session({"c": 0.5}, {"c": heard}, ended)], OUTAGE) == found


def test_what_was_sent_before_a_subscription_is_not_missed() -> None:
    assert tally(SENT, [Session({"c": 7.5}, {"c": [8, 9]})], OUTAGE) == Tally()


def test_percentiles_are_of_what_was_measured() -> None:
    assert (percentile([3.0, 1.0, 2.0], 0.5), percentile([3.0, 1.0], 0.99), percentile([], 0.99)) == (2.0, 3.0, 0.0)


def test_every_row_has_a_ground_and_can_be_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert {scene.ground for scene in SCENES} == set(ALL)
    assert main(["--list", "--only", "Sentinel fails over", "--on", "sentinel"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Sentinel fails over by hand"]
    assert len({scene.name for scene in SCENES}) == len(SCENES)
