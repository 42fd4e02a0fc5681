"""Bytes from Redis are anybody's: decoding them never raises and never invents."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.interfaces import Answer
from engine.occupancy import redis_wire
from engine.occupancy.redis_keys import fact, parse_fact, parse_member_fact

anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary() | st.text(),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=12,
)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(anything, anything)
def test_garbage_is_no_answer_and_no_transition(value: Any, score: Any) -> None:
    answer = redis_wire.decode_answer(value)
    assert answer is None or isinstance(answer, Answer)
    assert redis_wire.decode_transition(value, score) is None
    redis_wire.decode_members(redis_wire.pairs(value))
    if isinstance(value, bytes):
        assert redis_wire.count_of(value) >= 0
        parse_fact(value)
        parse_member_fact(value)


@given(st.binary(max_size=20) | st.just(b"0" * 16), json_values)
def test_json_that_is_no_entry_is_no_transition(number: bytes, value: Any) -> None:
    assert redis_wire.decode_transition(number + orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), b"1") is None


@pytest.mark.parametrize(
    "entry",
    [
        ["channel_occupied", "app", "room", 1.5, "", "", ""],
        ["channel_occupied", "app", "room", 1, "", ""],
        ["channel_occupied", "app", None, 1, "", "", ""],
        ["channel_renamed", "app", "room", 1, "", "", ""],
        [["channel_occupied"], "app", "room", 1, "", "", ""],
    ],
)
def test_almost_an_entry_is_no_transition(entry: list[Any]) -> None:
    assert redis_wire.decode_transition(b"%016d" % 5 + orjson.dumps(entry), b"7000") is None


def test_an_entry_is_a_transition() -> None:
    entry = b"%016d" % 5 + orjson.dumps(["member_added", "app", "room", 9, "u", "1.1", "d"])
    transition = redis_wire.decode_transition(entry, b"7000")
    assert transition is not None
    assert (transition.id, transition.seq, transition.time_ms, transition.due_ms) == (entry, 5, 9, 7)
    assert (transition.user_id, transition.socket_id, transition.data) == ("u", "1.1", "d")


@pytest.mark.parametrize("raw, count", [(b"3", 3), (b"0", 0), (b"-3", 0), (b"x", 0), (b"", 0), (None, 0), (b"1.5", 0)])
def test_what_is_no_count_is_none(raw: bytes | None, count: int) -> None:
    assert redis_wire.count_of(raw) == count


@given(st.text(st.characters(blacklist_categories=("Cs",)), min_size=1))
def test_a_fact_is_read_as_it_was_written(user: str) -> None:
    assert parse_member_fact(fact("app", "presence-x", user).encode()) == ("app", "presence-x", user)
    assert parse_fact(fact("app", f"#server-to-user-{user}").encode()) == ("app", f"#server-to-user-{user}")
