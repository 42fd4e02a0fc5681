"""What a console asks other nodes comes back as it was, and nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.tap.question import EVENTS, FIGURES, MAX_PER_SECOND, Question, decode, is_question
from engine.trace.follow import Follow

ID = "0123456789abcdef" * 2
FIGURE = Question(FIGURES, ID, "life", number=7)
EVENT = Question(EVENTS, ID, "life", look=1, app="1", per_second=20)


@pytest.mark.parametrize("question", [FIGURE, EVENT])
def test_it_comes_back_and_is_no_trace(question: Question) -> None:
    assert decode(question.encode()) == question
    assert is_question(question.encode())
    assert not is_question(Follow(channel="room", id=ID).encode().encode())


@pytest.mark.parametrize(
    "change",
    [
        {"console": "secrets"},
        {"answers": "short"},
        {"answers": 7},
        {"app": None},
        {"look": -1},
        {"look": True},
        {"number": "1"},
        {"per_second": 0},
        {"per_second": MAX_PER_SECOND + 1},
        {"app": "x" * 5000},
    ],
)
def test_what_is_none_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        decode(dataclasses.replace(EVENT, **change).encode())


@pytest.mark.parametrize("request_", [b"", b"{", b"{}", b'{"console":"events","other":1}', b"\xff"])
def test_what_is_not_even_one_is_refused(request_: bytes) -> None:
    with pytest.raises(ConfigError):
        decode(request_)
