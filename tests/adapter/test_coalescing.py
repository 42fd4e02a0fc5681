"""What is joined and left within one turn of the loop costs Redis nothing, and nobody is forgotten for it."""

from __future__ import annotations

import asyncio

from engine.adapter.coalescing import CoalescingSubscriber, Done


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
    coalescing = CoalescingSubscriber(asked)
    for _ in range(100):
        coalescing.subscribe(b"a", lambda _: asked.words.append("told"))
        coalescing.unsubscribe(b"a")
    await asyncio.sleep(0)
    # The subscriber knows that it has no such topic.
    assert asked.words == ["-a"]


async def test_who_stays_is_told_and_only_then() -> None:
    asked = Asked()
    coalescing = CoalescingSubscriber(asked)
    coalescing.subscribe(b"a", lambda _: asked.words.append("first"))
    coalescing.unsubscribe(b"a")
    coalescing.subscribe(b"a", lambda _: asked.words.append("second"))
    coalescing.subscribe(b"a", lambda _: asked.words.append("third"))
    assert asked.words == []
    await asyncio.sleep(0)
    assert asked.words == ["+a", "second", "+a", "third"]


async def test_what_is_left_and_joined_again_stays_subscribed() -> None:
    asked = Asked()
    coalescing = CoalescingSubscriber(asked)
    coalescing.subscribe(b"a", no_matter)
    await asyncio.sleep(0)
    for _ in range(100):
        coalescing.unsubscribe(b"a")
        coalescing.subscribe(b"a", no_matter)
    await asyncio.sleep(0)
    assert "-a" not in asked.words
    coalescing.unsubscribe(b"a")
    await asyncio.sleep(0)
    assert asked.words[-1] == "-a"


async def test_a_fault_in_what_one_waits_for_leaves_the_others_theirs() -> None:
    asked = Asked()
    coalescing = CoalescingSubscriber(asked)
    coalescing.subscribe(b"a", lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    coalescing.subscribe(b"a", lambda _: asked.words.append("told"))
    coalescing.subscribe(b"b", lambda _: asked.words.append("told"))
    await asyncio.sleep(0)
    assert asked.words.count("told") == 2
