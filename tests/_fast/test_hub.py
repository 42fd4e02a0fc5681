"""Membership and broadcast against a plain model, over real sockets."""

import asyncio
import random

import pytest

from engine._fast.frame import text_frame
from engine._fast.hub import Pending
from tests._fast.pair import hub_server
from tests.support.waiting import until


@pytest.mark.parametrize("seed", range(4))
async def test_random_history_delivers_what_a_plain_model_says(seed: int) -> None:
    """Every connection receives exactly the events of its channels, in order, whatever came and went before."""
    rng = random.Random(seed)
    names = [f"channel-{i}" for i in range(24)]
    async with hub_server() as b:
        pairs = [await b.connect() for _ in range(6)]
        members: dict[str, set[int]] = {name: set() for name in names}
        expected: list[list[str]] = [[] for _ in pairs]
        for step in range(600):
            who, name = rng.randrange(len(pairs)), rng.choice(names)
            connection = pairs[who][0]
            channel = b.hub.channel("app", name)
            action = rng.random()
            if action < 0.35 and who not in members[name]:
                b.subscribe(connection, name)
                members[name].add(who)
            elif action < 0.55 and channel is not None:
                assert b.hub.leave(connection, channel) == (who in members[name])
                members[name].discard(who)
                assert b.hub.close_if_empty(channel) == (not members[name])
            elif channel is not None:
                excluded = who if rng.random() < 0.3 else None
                channel.broadcast(text_frame(str(step).encode()), pairs[who][0] if excluded is not None else None)
                for member in members[name] - {excluded}:
                    expected[member].append(str(step))
            assert b.hub.subscribed(connection, b.hub.channel("app", name)) == (who in members[name])
            if rng.random() < 0.2:
                await asyncio.sleep(0)
        for (connection, peer), texts in zip(pairs, expected, strict=True):
            await until(lambda peer=peer, texts=texts: len(peer.texts) >= len(texts))
            assert peer.texts == texts
            held = {channel.name for channel in b.hub.channels_of(connection)}
            assert held == {name for name in names if pairs.index((connection, peer)) in members[name]}


async def test_one_write_carries_all_of_a_turn_in_order() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        for name in "abc":
            b.subscribe(connection, name)
        for i in range(300):
            channel = b.hub.channel("app", "abc"[i % 3])
            assert channel is not None
            channel.broadcast(text_frame(b"%d" % i))
        assert connection.traffic.sent_messages == 0
        await until(lambda: len(peer.texts) == 300)
        assert peer.texts == [str(i) for i in range(300)]
        assert connection.traffic.sent_messages == 300


async def test_a_flush_over_many_sockets_lets_the_loop_breathe_and_keeps_order() -> None:
    async with hub_server() as b:
        pairs = [await b.connect() for _ in range(300)]
        for connection, _ in pairs:
            b.subscribe(connection, "big")
        channel = b.hub.channel("app", "big")
        assert channel is not None
        for i in range(20):
            channel.broadcast(text_frame(b"%d" % i + b"x" * 20_000))
        for _, peer in pairs:
            await until(lambda peer=peer: len(peer.texts) == 20)
            assert [int(text.rstrip("x")) for text in peer.texts] == list(range(20))


async def test_a_pending_subscription_gets_its_answer_then_what_was_held() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        channel = b.hub.open("app", "presence-room")
        pending = Pending(channel, connection)
        channel.broadcast(text_frame(b"member 5"), None, 5)
        channel.broadcast(text_frame(b"event"))
        channel.broadcast(text_frame(b"member 8"), None, 8)
        channel.broadcast(text_frame(b"own"), connection)
        pending.activate(5, [text_frame(b"succeeded")])
        channel.broadcast(text_frame(b"member 4"), None, 4)
        channel.broadcast(text_frame(b"member 9"), None, 9)
        await until(lambda: len(peer.texts) == 4)
        assert peer.texts == ["succeeded", "event", "member 8", "member 9"]


async def test_the_cached_event_is_not_told_twice() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        channel = b.hub.open("app", "cache-room")
        pending = Pending(channel, connection)
        cached = text_frame(b"new")
        channel.broadcast(text_frame(b"new"))
        channel.broadcast(text_frame(b"newer"))
        pending.activate(0, [text_frame(b"succeeded"), cached], cached)
        await until(lambda: len(peer.texts) == 3)
        assert peer.texts == ["succeeded", "new", "newer"]


async def test_a_cancelled_subscription_leaves_nothing_behind() -> None:
    async with hub_server() as b:
        connection, _ = await b.connect()
        channel = b.hub.open("app", "room")
        pending = Pending(channel, connection)
        assert len(channel) == 1
        assert not b.hub.close_if_empty(channel)
        pending.cancel()
        assert len(channel) == 0
        assert b.hub.close_if_empty(channel)
        pending.activate(0, [])
        assert b.hub.channels_of(connection) == []


async def test_too_much_held_marks_the_subscription() -> None:
    async with hub_server() as b:
        connection, _ = await b.connect()
        channel = b.hub.open("app", "room")
        pending = Pending(channel, connection)
        for _ in range(1025):
            channel.broadcast(text_frame(b"x"))
        assert pending.overflowed


async def test_what_was_replayed_is_not_heard_again_and_nothing_else_is_missed() -> None:
    """Held, arriving late, of another stream: each kept event comes once, in the order of its serials."""

    def frame(text: str) -> bytes:
        return text_frame(text.encode())

    async with hub_server() as b:
        connection, peer = await b.connect()
        other, witness = await b.connect()
        b.subscribe(other, "room")
        channel = b.hub.open("app", "room")
        pending = Pending(channel, connection)
        channel.deliver_kept(frame("3"), None, 7, 3)
        channel.broadcast(frame("plain"))
        channel.deliver_kept(frame("not-to-me"), connection, 7, 4)
        # The stream had 1 to 5 when it was read; this worker has heard of 3 and 4 of them.
        pending.activate(0, [frame("1"), frame("2"), frame("3"), frame("4"), frame("5")], replayed=(7, 5))
        channel.deliver_kept(frame("5"), None, 7, 5)
        channel.deliver_kept(frame("6"), None, 7, 6)
        channel.deliver_kept(frame("anew"), None, 8, 1)
        await until(lambda: len(peer.texts) == 8)
        assert peer.texts == ["1", "2", "3", "4", "5", "plain", "6", "anew"]
        await until(lambda: len(witness.texts) == 6)
        assert witness.texts == ["3", "plain", "not-to-me", "5", "6", "anew"]


async def test_who_left_and_came_back_is_not_ahead_any_more() -> None:
    async with hub_server() as b:
        connection, peer = await b.connect()
        channel = b.hub.open("app", "room")
        Pending(channel, connection).activate(0, [], replayed=(7, 100))
        b.hub.leave(connection, channel)
        Pending(channel, connection).activate(0, [])
        channel.deliver_kept(text_frame(b"1"), None, 7, 1)
        await until(lambda: peer.texts == ["1"])
