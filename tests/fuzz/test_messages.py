"""Events of Redis delivered in C and in Python reach the same sockets; `python -m tests.fuzz` goes on for longer."""

from __future__ import annotations

import asyncio

from engine._fast.frame import text_frame
from engine._fast.hiredis import available
from tests.fuzz.message_sides import Subscriber, difference
from tests.fuzz.messages import ODD, TOLD, TOPICS, event, made, message

COUNT = 300
#: In which hiredis moves a topic away from where it lay, before its message has come.
MOVED = (1117, 1782, 1811, 2298, 2343, 2780, 2815)
EVENT = event(b"1.1", b"event")


def test_both_ways_of_hearing_agree() -> None:
    async def run() -> list[str]:
        plain, python = Subscriber(plain=True), Subscriber(plain=False)
        seeds = (*range(COUNT), *MOVED)
        return [found for seed in seeds if (found := difference(*made(seed), plain, python))][:1]

    assert asyncio.run(run()) == []


def test_what_is_odd_harms_no_event_before_or_behind_it() -> None:
    async def run() -> list[str]:
        plain, python = Subscriber(plain=True), Subscriber(plain=False)
        odd = [*ODD, *(message(topic, each) for topic in TOPICS for each in (*TOLD, EVENT))]
        played = (message(b"a", EVENT) + each + message(b"a", EVENT) for each in odd)
        return [found for data in played for size in (1, 50) if (found := difference(data, size, plain, python))]

    assert asyncio.run(run()) == []


def test_an_event_reaches_all_but_the_one_who_is_passed_over_and_is_counted() -> None:
    assert available(), "hiredis-py has all that is called"

    async def run() -> None:
        found = Subscriber(plain=True).play([message(b"a", EVENT) * 3 + message(b"b", TOLD[-1])])
        assert found.written == [b"", text_frame(b"event") * 3]
        assert (found.counted, found.told, found.given_up) == ((3, 1, 1), [], False)

    asyncio.run(run())


def test_an_event_longer_than_a_read_keeps_its_topic_where_hiredis_moves_it() -> None:
    long = b"long" * 20_000

    async def run() -> None:
        plain = Subscriber(plain=True)
        # hiredis moves what it has not read once it has read a KiB: a topic that begins about there is half read then.
        for before in range(950, 1010, 4):
            found = plain.play([message(b"b", bytes(before)) + message(b"a", event(b"1.1", long))])
            assert found.written == [b"", text_frame(long)], before

    asyncio.run(run())


def test_who_overhears_hears_each_event_before_it_is_delivered() -> None:
    async def run() -> None:
        found = Subscriber(plain=True, overheard=True).play([message(b"a", EVENT), message(b"nobody", EVENT)])
        assert found.told == [("a", EVENT)]
        assert found.written == [b"", text_frame(b"event")]

    asyncio.run(run())
