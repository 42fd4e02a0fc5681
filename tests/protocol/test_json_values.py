"""Texts with halves of characters are read and written like others; numbers come out as JavaScript prints them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.protocol.json_values import compact_bytes, dumps, loads, signed, spelled, whole_number

TEXTS = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]))


@given(TEXTS, st.booleans())
def test_every_text_is_read_and_written(text: str, ascii_: bool) -> None:
    # Two halves that stand side by side are one character to every reader.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    given_ = spelled(json.dumps({"a": [text]}, ensure_ascii=ascii_))
    assert loads(given_) == loads(given_.decode()) == {"a": [text]}
    assert loads(dumps({"a": [text]})) == {"a": [text]}
    dumps(text).decode()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[NaN]", '["\\ud83d", Infinity]', "[1e999]", "[01]", '["\\ud83d"', "[" * 2000, "[" * 1500 + "]" * 1500],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    for form in (text, text.encode()):
        with pytest.raises(ValueError) as caught:
            loads(form)
        assert not isinstance(caught.value, UnicodeError)


def test_a_signed_text_is_as_javascript_encodes_it() -> None:
    assert signed("é\ud83dx") == "é\ufffdx".encode()
    assert signed("\U0001f600") == "\U0001f600".encode()


def test_the_size_is_that_of_the_value() -> None:
    assert compact_bytes(rb'{ "a" : "\u00e9\u0041" }') == len('{"a":"éA"}'.encode())


@pytest.mark.parametrize(
    ("given_", "printed"),
    [
        ("10", "10"),
        ("10.0", "10"),
        ("1e3", "1000"),
        ("1.5E1", "15"),
        ("100e-1", "10"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-7.0", "-7"),
        ("12345678901234567890", "12345678901234567890"),
        ("12345678901234567890.0", "12345678901234567000"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("-1.25e30", "-1.25e+30"),
        ("1.5", None),
        ("1e-3", None),
        ("1e999", None),
    ],
)
def test_whole_numbers(given_: str, printed: str | None) -> None:
    assert whole_number(given_) == printed
