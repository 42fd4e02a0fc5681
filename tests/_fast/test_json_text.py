"""The reader of JSON text takes what `json` and `orjson` take, half characters included, and decodes nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._fast.json_text import items, members

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES), st.booleans(), st.sampled_from([None, 1]))
def test_members_and_items_are_found_as_they_lie(value: dict[str, object], ascii_: bool, indent: int | None) -> None:
    found = members(json.dumps(value, ensure_ascii=ascii_, indent=indent).encode())
    assert found is not None
    assert {key: json.loads(text) for key, text in found.items()} == value
    parts = items(json.dumps(list(value.values()), ensure_ascii=ascii_, indent=indent).encode())
    assert parts is not None
    assert [json.loads(part) for part in parts] == list(value.values())


def test_half_a_character_passes_untouched() -> None:
    assert members(rb'{"a":"\uD83d","b":"\uDE00x"}') == {"a": rb'"\uD83d"', "b": rb'"\uDE00x"'}


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a"}', b'{"a":1,}', b"[1,]", b'{"a":"\x01"}', b'{"a":"\xff"}', b'{"a":"\xed\xa0\x80"}',
     b'{"a":"\xc0\x80"}', b"[01]", b"[1.]", b"[-]", b"[1e]", b"[tru]", rb'["\u12"]', rb'["\x"]',
     b"{} {}", b"[" * 100_000],
    ids=repr,
)  # fmt: skip
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="JSON"):
        members(text)


def test_other_values_are_none() -> None:
    assert members(b"[]") is None
    assert items(b"{}") is None
