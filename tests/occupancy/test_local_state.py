"""What a worker holds, looked at in slices: no call does more than its share, however much there is."""

from __future__ import annotations

import pytest

from engine._fast.member import Member
from engine.interfaces import Answer, Interest
from engine.occupancy import local_state
from engine.occupancy.comparison import SLICE, Comparison
from engine.occupancy.local_channel import LocalChannel
from engine.occupancy.local_state import Fact, LocalState, Taken

HELD, LIMIT = 5000, 100


def nothing(app_id: str, channel: str) -> Interest:
    return Interest()


def report_all(state: LocalState, limit: int = HELD) -> list[Taken]:
    taken = []
    while state.dirty:
        for one in state.take(nothing, limit):
            state.accepted(one, Answer(one.report.count))
            state.answer(one, Answer(one.report.count))
            taken.append(one)
    return taken


@pytest.fixture
def state() -> LocalState:
    """It holds many channels, of which the store knows."""
    held = LocalState()
    for number in range(HELD):
        held.add("app", f"room-{number}", None, None, 0)
    report_all(held)
    return held


def test_an_announcement_is_made_in_slices(state: LocalState, monkeypatch: pytest.MonkeyPatch) -> None:
    touched = 0
    touch = LocalState._touch

    def counting(self: LocalState, local: LocalChannel) -> None:
        nonlocal touched
        touched += 1
        touch(self, local)

    monkeypatch.setattr(local_state.LocalState, "_touch", counting)
    state.announce()
    assert (touched, state.dirty, state.announced) == (0, True, False)
    assert len(state.take(nothing, LIMIT)) == LIMIT
    assert touched == LIMIT
    # One that comes is in the next report, not behind all that was held.
    state.add("app", "new", None, None, 0)
    assert "new" in [taken.report.channel for taken in state.take(nothing, LIMIT)]
    # One that leaves before its turn is reported as left, and not announced.
    state.remove("app", f"room-{HELD - 1}", None, None)
    rest = report_all(state, LIMIT)
    assert [taken.report.count for taken in rest if taken.report.channel == f"room-{HELD - 1}"] == [0]
    assert len({taken.report.channel for taken in rest}) == HELD - 2 * LIMIT + 1


def test_members_count_in_a_report_and_no_channel_is_parted() -> None:
    state = LocalState()
    for channel in ("presence-a", "presence-b", "presence-c"):
        for number in range(60):
            state.add("app", channel, Member(f"user-{number}"), None, 0)
    assert [len(taken.report.members) for taken in state.take(nothing, 130)] == [60, 60]
    assert [len(taken.report.members) for taken in state.take(nothing, 10)] == [60]


def test_alone_only_those_who_ask_are_answered(state: LocalState, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(HELD):
        state.add("app", f"room-{number}", None, None, 0)
    answers: list[Answer] = []
    state.add("app", "room-7", None, lambda answer, refused: answers.append(answer), 0)
    rosters: list[str] = []
    monkeypatch.setattr(LocalChannel, "roster", lambda self: rosters.append(self.channel) or {})
    state.answer_alone()
    state.answer_alone()
    assert [answer.total for answer in answers] == [3]
    assert len(state._waiting) == 0


async def test_a_comparison_looks_at_a_slice_and_finds_what_differs(state: LocalState) -> None:
    state.add("app", "presence-x", Member("ann"), None, 0)
    report_all(state)
    missing: Fact = ("app", "room-3", None)
    wrong_number: Fact = ("app", "room-4", None)
    ghost: Fact = ("app", "presence-x", "ghost")
    moves: Fact = ("app", "room-5", None)

    async def believed() -> object:
        page: dict[Fact, int] = {}
        for fact in [*state.facts(), ghost]:
            if fact != missing:
                page[fact] = 2 if fact in (wrong_number, moves) else 1
            if len(page) == SLICE:
                yield page
                page = {}
        yield page

    comparison = Comparison(state, believed())  # type: ignore[arg-type]
    state.add("app", "room-5", None, None, 0)
    state.remove("app", "room-5", None, None)
    found: list[Fact] = []
    slices = 0
    while (wrong := await comparison.next()) is not None:
        found += wrong
        slices += 1
    assert sorted(found, key=str) == sorted([missing, wrong_number, ghost], key=str)
    assert slices >= 2 * HELD // SLICE
