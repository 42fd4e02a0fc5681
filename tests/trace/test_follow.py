"""What an operator may follow, and which facts that is about."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from engine.errors import ConfigError
from engine.trace.follow import Fact, Follow, decode


@pytest.mark.parametrize(
    "follow",
    [
        Follow(channel="presence-a"),
        Follow(user='Zoë "the" great\n', event="order paid", app="7", seconds=3600),
        Follow(socket="1.2", seconds=1),
    ],
)
def test_it_travels_as_one_word(follow: Follow) -> None:
    word = follow.encode()
    assert word.split() == [word] and word.isascii()
    assert decode(word) == follow


@pytest.mark.parametrize(
    "word",
    ["", "x", quote("[]"), quote("{}"), quote('{"chanel":"a"}'), quote('{"channel":7}'), "%ff", Follow().encode()]
    + [Follow("a", seconds=seconds).encode() for seconds in (0, -1, 3601)]
    + [Follow("a" * 513).encode(), quote('{"channel":"a","seconds":true}')],
)
def test_nothing_else_is_taken(word: str) -> None:
    with pytest.raises(ConfigError, match=r"^trace: "):
        decode(word)


FACT = Fact("1", ("a", "b"), ("1.1", "2.2"), ("ada",), "paid")


@pytest.mark.parametrize(
    "follow",
    [
        Follow(channel="b"),
        Follow(socket="2.2"),
        Follow(user="ada"),
        Follow(event="paid"),
        Follow(app="1"),
        Follow(channel="other", socket="1.1"),
        Follow(channel="a", app="1"),
    ],
)
def test_what_is_followed_is_told(follow: Follow) -> None:
    assert follow.wants(FACT)


@pytest.mark.parametrize(
    "follow",
    [
        Follow(channel="c"),
        Follow(socket="1.2"),
        Follow(user="bob"),
        Follow(event="p"),
        Follow(app="2"),
        Follow(channel="a", app="2"),
    ],
)
def test_nothing_else_is_told(follow: Follow) -> None:
    assert not follow.wants(FACT)


def test_what_names_no_application_may_be_of_any() -> None:
    assert Follow(channel="a", app="2").wants(Fact(channels=("a",)))


def test_what_is_about_nobody_knows_whom_may_be_what_is_looked_for() -> None:
    refused = Fact("1", unknown=True)
    assert Follow(channel="c").wants(refused)
    assert not Follow(channel="c", app="2").wants(refused)
    assert not Follow(channel="c").wants(Fact("1"))
