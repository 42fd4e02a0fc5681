"""Every row of the table on every arrangement of the engine; ``make conformance`` prints the same as a table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.match import ABSENT, ANY, AnyOrder, Exactly, JsonText, Matches, Number, OneOf, mismatch
from tests.conformance.play import NotAsExpected, Target, play, why_skipped
from tests.conformance.rule import Rule, connect, get, gets, rule
from tests.conformance.table import ELSEWHERE, NUMBERED, RULES
from tests.conformance.topologies import TOPOLOGIES, started

QUICK = {f"{each.id} {number}": each for number, each in enumerate(RULES) if not each.slow}
SLOW = {f"{each.id} {number}": each for number, each in enumerate(RULES) if each.slow}


@pytest.fixture(scope="module", params=TOPOLOGIES)
def target(request: pytest.FixtureRequest) -> Iterator[Target]:
    with started(request.param) as running:
        yield running


# First, so that the others are played meanwhile.
@pytest.mark.parametrize("target", TOPOLOGIES[:1], indirect=True)
@pytest.mark.parametrize("name", SLOW)
def test_slow_rule(target: Target, name: str) -> None:
    _hold(SLOW[name], target)


@pytest.mark.parametrize("name", QUICK)
def test_rule(target: Target, name: str) -> None:
    _hold(QUICK[name], target)


def test_every_numbered_rule_is_in_the_table_or_has_a_reason() -> None:
    numbered = {f"{letter}-{number}" for letter, last in NUMBERED.items() for number in range(1, last + 1)}
    in_table = {each.id for each in RULES}
    assert in_table.isdisjoint(ELSEWHERE)
    assert in_table | set(ELSEWHERE) == numbered


def test_rows_can_be_told_apart() -> None:
    seen = [(each.id, each.words) for each in RULES]
    assert len(seen) == len(set(seen)), sorted({row for row in seen if seen.count(row) > 1})


@pytest.mark.parametrize("target", TOPOLOGIES[:1], indirect=True)
def test_a_server_that_differs_fails_the_row(target: Target) -> None:
    """The player must not let pass what is wrong."""
    for wrong in (
        rule("X", "first frame", connect("a", first={"event": "hello"})),
        rule("X", "data", connect("a", early=('{"event":"pusher:ping"}',)), gets("a", "pusher:pong", {})),
        rule("X", "status", get("/channels", status=201)),
        rule("X", "answer", get("/channels/~", {"occupied": True})),
    ):
        with pytest.raises(NotAsExpected, match=r"step \d"):
            play(wrong, target)


def test_patterns() -> None:
    value = {"a": 1, "b": '{"c":[1,2]}', "d": None}
    for fits in (
        {"a": 1},
        {"a": ANY, "e": ABSENT, "d": None},
        {"b": JsonText({"c": AnyOrder((2, 1))})},
        {"b": Matches(r"\{.*\}"), "a": Number(0, 1)},
        Exactly(value),
        OneOf((7, {"a": 1})),
    ):
        assert mismatch(fits, value) == ""
    for fails in (
        {"a": 2},
        {"a": True},
        {"a": "1"},
        {"e": ANY},
        {"d": ABSENT},
        {"b": JsonText({"c": [2, 1]})},
        {"b": Matches("c")},
        {"a": JsonText({})},
        {"a": Number(2, 3)},
        Exactly({"a": 1}),
        {"b": JsonText({"c": AnyOrder((1, 1))})},
        OneOf((7, {"a": 2})),
        [value],
    ):
        assert mismatch(fails, value)


def _hold(each: Rule, target: Target) -> None:
    if reason := why_skipped(each, target):
        pytest.skip(reason)
    try:
        play(each, target)
    except NotAsExpected as problem:
        pytest.fail(f"{each.id}, {each.words}: {problem}", pytrace=False)
