"""Rosters while the worker is resyncing: what a newcomer is told at first, and what it is told later, agree."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from engine._fast.member import Member
from engine.interfaces import Answer, MemberChange
from engine.metrics.metrics import Metrics
from engine.ws.rosters import Rosters
from engine.ws.state import ConnectionState
from engine.ws.subscriptions import Subscriptions
from tests._fast.pair import HubServer, Peer, hub_server
from tests.support.waiting import until
from tests.webhooks.making import make_app

ROOM = "presence-room"
INFO = "{}"


class Room:
    """Subscriptions on a bench, in which the test is the shared state."""

    def __init__(self, on: HubServer) -> None:
        self._bench = on
        self._answers: list[Callable[[Answer, bool], None]] = []
        self.rosters = Rosters(on.hub)
        adapter, reporter = Mock(), Mock()
        adapter.subscribe = lambda app_id, name, done: done(True)
        reporter.add = lambda app_id, channel, member, done, limit=0: self._answers.append(done)
        self._subscriptions = Subscriptions(
            on.hub, adapter, reporter, self.rosters, Mock(), Mock(), Mock(), Mock(), Metrics()
        )

    async def ask(self, user: str) -> Peer:
        """Somebody wants to come in, and waits for the answer."""
        connection, peer = await self._bench.connect()
        connection.app = make_app(app_id="app")
        connection.state = ConnectionState()
        member = Member(user, INFO, connection.socket_id, "{}")
        self._subscriptions.join(connection, ROOM, member, self._subscriptions._on_counted)
        return peer

    def answer(self, version: int, *users: str, **infos: str) -> None:
        """What the state, or in its place the worker, says to the one who has waited longest."""
        roster = dict.fromkeys(users, INFO) | infos
        self._answers.pop(0)(Answer(total=1, version=version, roster=roster), False)

    def change(self, version: int, user: str, *, added: bool, info: str = INFO) -> None:
        self.rosters.changed(MemberChange("app", ROOM, version, added, user, info))


async def test_a_departure_from_before_the_answer_does_not_outlive_it() -> None:
    """Somebody comes back while the worker is resyncing, and only now it is heard that they had gone."""
    async with hub_server() as b:
        room = Room(b)
        first = await room.ask("ada")
        room.answer(5, "ada", "bob")
        room.rosters.resyncing = True
        back = await room.ask("bob")
        room.change(7, "bob", added=False)
        room.answer(0, "ada", "bob")
        room.change(9, "bob", added=True)
        room.rosters.resync("app", ROOM, {"ada": INFO, "bob": INFO}, 9, True)
        room.rosters.resyncing = False
        room.change(10, "zoe", added=True)
        for peer in (first, back):
            await until(lambda peer=peer: any("zoe" in text for text in peer.texts))
            assert _believed(peer) == {"ada", "bob", "zoe"}


async def test_what_the_first_one_heard_while_waiting_is_known() -> None:
    """Somebody leaves between the first newcomer's answer and its arrival, and returns during a resync."""
    async with hub_server() as b:
        room = Room(b)
        first = await room.ask("ada")
        room.change(4, "cem", added=False)
        room.change(7, "bob", added=False)
        room.answer(5, "ada", "bob", "cem")
        room.rosters.resyncing = True
        room.change(9, "bob", added=True)
        room.rosters.resync("app", ROOM, dict.fromkeys(("ada", "bob", "cem"), INFO), 9, True)
        room.rosters.resyncing = False
        room.change(10, "zoe", added=True)
        await until(lambda: any("zoe" in text for text in first.texts))
        assert _believed(first) == {"ada", "bob", "cem", "zoe"}


async def test_an_answer_that_is_overtaken_by_a_change_still_counts() -> None:
    """In a busy room there is always a change that is newer than what the state has just answered."""
    async with hub_server() as b:
        room = Room(b)
        peer = await room.ask("ada")
        room.answer(5, "ada", "bob", "cem")
        room.rosters.resyncing = True
        room.change(9, "cem", added=False)
        room.change(10, "dan", added=True)
        room.rosters.resync("app", ROOM, dict.fromkeys(("ada", "cem", "eve"), INFO), 8, True)
        room.rosters.resyncing = False
        room.change(11, "zoe", added=True)
        await until(lambda: any("zoe" in text for text in peer.texts))
        assert _believed(peer) == {"ada", "dan", "eve", "zoe"}


async def test_who_was_known_to_a_replaced_server_alone_is_taken_back() -> None:
    """The roster of a newcomer is of a master that was replaced before it announced one of those who are in it."""
    async with hub_server() as b:
        room = Room(b)
        first, second = await room.ask("ada"), await room.ask("bob")
        room.answer(5, "ada")
        room.answer(7, "ada", "bob", "ghost")
        room.rosters.resyncing = True
        room.rosters.resync("app", ROOM, dict.fromkeys(("ada", "bob"), INFO), 9, True)
        room.rosters.resyncing = False
        room.change(10, "zoe", added=True)
        for peer in (first, second):
            await until(lambda peer=peer: any("zoe" in text for text in peer.texts))
            assert _believed(peer) == {"ada", "bob", "zoe"}


@pytest.mark.parametrize("heard", ["as a change", "with the roster"])
async def test_who_was_lost_when_a_newcomer_came_is_made_up_to_them_alone(heard: str) -> None:
    """The state has lost bob, and this worker knows nothing of that yet."""
    async with hub_server() as b:
        room = Room(b)
        first, second, third = [await room.ask(user) for user in ("ada", "cem", "dan")]
        room.answer(5, "ada", "bob", "eve")
        room.answer(7, "ada", "cem")
        room.change(8, "eve", added=False)
        room.answer(9, "ada", "cem", "dan", "bob")
        room.rosters.resyncing = True
        if heard == "as a change":
            room.change(10, "bob", added=True)
        for version in (11, 12):
            everybody = dict.fromkeys(("ada", "bob", "cem", "dan"), INFO)
            room.rosters.resync("app", ROOM, everybody, version, version == 12)
        room.rosters.resyncing = False
        room.change(13, "zoe", added=True)
        for peer in (first, second, third):
            await until(lambda peer=peer: any("zoe" in text for text in peer.texts))
            assert _believed(peer) == {"ada", "bob", "cem", "dan", "zoe"}
        assert [_added(peer).count("bob") for peer in (first, second, third)] == [0, 1, 0]


async def test_only_differences_are_told_when_the_roster_is_rebuilt_elsewhere() -> None:
    """Another worker announces its members after a FLUSHALL before this one has noticed that anything was lost."""
    async with hub_server() as b:
        room = Room(b)
        peer = await room.ask("ada")
        room.answer(5, "ada", "bob")
        room.change(7, "bob", added=True)
        room.rosters.resyncing = True
        room.change(8, "ada", added=True)
        room.rosters.resync("app", ROOM, dict.fromkeys(("ada", "bob"), INFO), 9, True)
        room.rosters.resyncing = False
        room.change(10, "zoe", added=True)
        await until(lambda: any("zoe" in text for text in peer.texts))
        assert _added(peer) == ["zoe"]


async def test_who_is_known_is_known_by_the_latest_user_info() -> None:
    """Nobody is told of it, and whoever comes while the state is away is shown it."""
    async with hub_server() as b:
        room = Room(b)
        first = await room.ask("ada")
        room.answer(5, "ada", "bob", "cem", "dan")
        room.change(6, "bob", added=True, info='{"n":"from another worker"}')
        await room.ask("cem")
        room.answer(7, "ada", "bob", "dan", cem='{"n":"from here"}', bob='{"n":"from another worker"}')
        room.rosters.resyncing = True
        late = await room.ask("dan")
        room.answer(0, "ada", "bob", cem='{"n":"from here"}', dan='{"n":"just now"}')
        await until(lambda: bool(late.texts))
        shown = json.loads(json.loads(late.texts[0])["data"])["presence"]["hash"]
        assert {user: info.get("n") for user, info in shown.items()} == {
            "ada": None,
            "bob": "from another worker",
            "cem": "from here",
            "dan": "just now",
        }
        assert _added(first) == []


def _added(peer: Peer) -> list[str]:
    frames = [json.loads(text) for text in peer.texts]
    return [json.loads(f["data"])["user_id"] for f in frames if f["event"] == "pusher_internal:member_added"]


def _believed(peer: Peer) -> set[str]:
    members: set[str] = set()
    for text in peer.texts:
        message: dict[str, Any] = json.loads(text)
        data = json.loads(message["data"])
        match message["event"]:
            case "pusher_internal:subscription_succeeded":
                members = set(data["presence"]["ids"])
            case "pusher_internal:member_added":
                members.add(data["user_id"])
            case "pusher_internal:member_removed":
                members.discard(data["user_id"])
    return members
