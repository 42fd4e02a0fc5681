"""`_fast.channel_name` finds prefixes and characters as regular expressions do."""

from __future__ import annotations

import re

import pytest

from engine._fast.channel_name import Prefixes, is_allowed

PREFIXES = {"private-": 1, "private-cache-": 2, "#user-": 3}
EITHER = re.compile("|".join(sorted(PREFIXES, reverse=True)))
ALLOWED = re.compile(r"[A-Za-z0-9_\-=@,.;:]+\Z")

NAMES = [
    "", "private-", "private", "private-cache-x", "private-cache", "a-private-", "#user-7", "#user", "privé",
    "private-é", "private-cache-\U0001f600", "ab.c;d,e:f@g=h_i-J9",
    "a b", "a\n", "a/b", "a#", "a\x7f", "a\x00", "\ud800", "é",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_prefixes_and_characters(name: str) -> None:
    found = EITHER.match(name)
    assert Prefixes(PREFIXES, 0).of(name) == (PREFIXES[found[0]] if found is not None else 0)
    assert is_allowed(name) == (ALLOWED.match(name) is not None)


def test_every_ascii_character_alone() -> None:
    for code in range(128):
        assert is_allowed(chr(code)) == (ALLOWED.match(chr(code)) is not None), code


def test_too_many_prefixes_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 16"):
        Prefixes({f"{n}-": n for n in range(17)}, None)
