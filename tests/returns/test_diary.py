"""The judge of `make returns` sees what is wrong, and only that."""

from __future__ import annotations

from typing import Any

import pytest

from tests.returns.diary import judge, note

BACK = ["back"]


def run(first: int, last: int) -> list[Any]:
    return ["run", first, last]


@pytest.mark.parametrize(
    ("diary", "returns", "replayed"),
    [
        ([BACK, run(0, 9)], 0, 0),
        ([BACK, run(0, 4), BACK, run(5, 9)], 1, 0),
        ([BACK, run(0, 4), BACK, run(2, 9)], 1, 3),
        ([BACK, run(0, 4), BACK, run(4, 4), BACK, run(4, 9)], 1, 2),
        ([BACK, run(0, 4), BACK, ["gap", "expired"], run(7, 9)], 1, 0),
        ([BACK, run(0, 4), BACK, ["gap", "expired"], BACK, run(7, 9)], 1, 0),
        ([BACK, run(3, 4), BACK, run(5, 6), run(6, 9)], 1, 0),
        ([BACK, run(0, 4), BACK, ["gap", "expired"]], 0, 0),
        ([BACK, run(3, 4), ["state", "connecting"], BACK, run(5, 9)], 1, 0),
    ],
    ids=str,
)
def test_what_is_right(diary: list[list[Any]], returns: int, replayed: int) -> None:
    found = judge("a", diary, {6}, 9)
    assert (found.wrong, found.returns, found.replayed) == ([], returns, replayed)


@pytest.mark.parametrize(
    ("diary", "message"),
    [
        ([BACK, run(0, 4), BACK, run(6, 9)], "came back after 4 to 6, and no gap was reported"),
        ([BACK, run(0, 4), run(6, 9)], "after 4 came 6"),
        ([BACK, run(0, 5), run(5, 9)], "5 came twice or late"),
        ([BACK, run(0, 4), BACK, run(2, 3), run(3, 9)], "3 came twice or late"),
        ([BACK, run(0, 4), BACK, run(2, 3), run(5, 9)], "after 3 came 5"),
        ([BACK, run(0, 4), BACK, ["gap", "limit"], run(6, 7), BACK, run(9, 9)], "came back after 7 to 9"),
        ([BACK, run(0, 8)], "ended with 8 instead of 9"),
        ([], "ended with None"),
    ],
    ids=str,
)
def test_what_is_wrong(diary: list[list[Any]], message: str) -> None:
    (wrong,) = judge("a", diary, {6}, 9).wrong
    assert message in wrong


def test_runs_are_noted_together() -> None:
    diary: list[list[Any]] = [["back"]]
    for event in (1, 2, 2, 3, 7):
        note(diary, event)
    assert diary == [["back"], ["run", 1, 2], ["run", 2, 3], ["run", 7, 7]]
