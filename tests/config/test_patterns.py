"""Regular expressions of filters: linear in time, and refused when they are read if they cannot be."""

from __future__ import annotations

import time

import pytest

from engine.config.patterns import MAX_LENGTH, compile_pattern


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"^(a|aa)*$", r"^(\w+\s?)*$", r"(.*)*x", r"(a{0,50}){0,19}$"])
def test_no_text_takes_long(pattern: str) -> None:
    """Python's own engine needs more than a human life for some of these."""
    compiled, begun = compile_pattern(pattern), time.process_time()
    for _ in range(100):
        compiled.search("private-" + "a" * 180 + "!")
    assert time.process_time() - begun < 1.0


@pytest.mark.parametrize(
    "pattern, told",
    [
        ("(", "missing ): ("),
        (r"(a)\1", "invalid escape sequence"),
        ("(?=a)", "invalid perl operator"),
        ("x{1000}{1000}", "bad repetition operator"),
        ("a" * (MAX_LENGTH + 1), "is too long; allowed: 1000 characters"),
    ],
)
def test_what_is_no_pattern(pattern: str, told: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError) as caught:
        compile_pattern(pattern)
    assert told in str(caught.value)
    assert capfd.readouterr() == ("", ""), "the library itself says nothing"


def test_two_of_one_text_are_equal() -> None:
    """An application that was not changed must not look as if it was."""
    assert compile_pattern("^a") == compile_pattern("^a")
    assert compile_pattern("^a") != compile_pattern("^b")
    assert compile_pattern("b+").search("abba") is not None
    assert compile_pattern("^b").search("abba") is None
