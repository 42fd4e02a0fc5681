"""What is joined and left within one turn of the loop costs Redis nothing, and nobody is forgotten for it."""

from __future__ import annotations

import asyncio

from engine.adapter.turn import Done, Turn


class Asked:
    """A subscriber that confirms at once. :ivar words: what it was asked for."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def subscribe(self, topic: bytes, done: Done | None = None) -> None:
        self.words.append(f"+{topic.decode()}")
        if done is not None:
            done(True)

    def unsubscribe(self, topic: bytes) -> None:
        self.words.append(f"-{topic.decode()}")


def no_matter(live: bool) -> None:
    """Nobody waits."""


async def test_what_is_joined_and_left_in_a_turn_is_asked_for_by_nobody() -> None:
    asked = Asked()
    turn = Turn(asked)
    for _ in range(100):
        turn.subscribe(b"a", lambda _: asked.words.append("told"))
        turn.unsubscribe(b"a")
    await asyncio.sleep(0)
    # The subscriber knows that it has no such topic.
    assert asked.words == ["-a"]


async def test_who_stays_is_told_and_only_then() -> None:
    asked = Asked()
    turn = Turn(asked)
    turn.subscribe(b"a", lambda _: asked.words.append("first"))
    turn.unsubscribe(b"a")
    turn.subscribe(b"a", lambda _: asked.words.append("second"))
    turn.subscribe(b"a", lambda _: asked.words.append("third"))
    assert asked.words == []
    await asyncio.sleep(0)
    assert asked.words == ["+a", "second", "+a", "third"]


async def test_what_is_left_and_joined_again_stays_subscribed() -> None:
    asked = Asked()
    turn = Turn(asked)
    turn.subscribe(b"a", no_matter)
    await asyncio.sleep(0)
    for _ in range(100):
        turn.unsubscribe(b"a")
        turn.subscribe(b"a", no_matter)
    await asyncio.sleep(0)
    assert "-a" not in asked.words
    turn.unsubscribe(b"a")
    await asyncio.sleep(0)
    assert asked.words[-1] == "-a"


async def test_a_fault_in_what_one_waits_for_leaves_the_others_theirs() -> None:
    asked = Asked()
    turn = Turn(asked)
    turn.subscribe(b"a", lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    turn.subscribe(b"a", lambda _: asked.words.append("told"))
    turn.subscribe(b"b", lambda _: asked.words.append("told"))
    await asyncio.sleep(0)
    assert asked.words.count("told") == 2
