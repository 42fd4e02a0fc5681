"""Pages of channels, users and members, as the console asks for them: of one worker alone, over its socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.console.channels import LIMIT, Channels
from engine.console.known_apps import KnownApps
from engine.console.workers import AskedPages, Workers
from engine.control import CONSOLE_SOCKETS
from engine.errors import ApiError
from engine.interfaces import MemberReport, Report
from engine.occupancy.memory import MemoryOccupancy
from engine.occupancy.memory_pages import MemoryPages
from engine.occupancy.memory_state import MemoryState
from engine.tap.tap import Tap
from engine.worker.console_calls import page_calls
from engine.worker.console_link import ConsoleLink
from tests.config.support import apps, loaded


@pytest.fixture
async def channels(tmp_path: Path) -> AsyncIterator[Channels]:
    state = MemoryState(lambda _: None, lambda: None)
    store = MemoryOccupancy(state)
    await store.join("a")
    members = tuple(MemberReport(f"user-{n}", 1, '{"name":"hidden"}') for n in range(LIMIT + 5))
    reports = [Report("1", f"room-{n}", n + 1) for n in range(LIMIT + 20)]
    reports += [Report("1", "presence-x", 300, members=members), Report("1", "#server-to-user-ada", 2)]
    await store.report("a", [*reports, Report("2", "other", 1)])
    link = ConsoleLink(tmp_path / CONSOLE_SOCKETS.format(0), page_calls(MemoryPages(state)), Tap())
    await link.start()
    config = loaded(apps({"id": "1", "key": "k1"}, {"id": "2", "key": "k2"})).config
    yield Channels(KnownApps(config), AskedPages(Workers(tmp_path)))
    await link.stop()


async def test_channels_come_page_by_page(channels: Channels) -> None:
    first = await channels.channels({"app": "1"})
    assert len(first["rows"]) == LIMIT
    assert first["rows"][4] == {"name": "room-4", "kind": "public", "subscriptions": 5}
    second = await channels.channels({"app": "1", "after": first["after"]})
    assert (len(second["rows"]), second["after"]) == (21, "")
    assert second["rows"][-1] == {"name": "presence-x", "kind": "presence", "subscriptions": 300, "members": LIMIT + 5}
    found = await channels.channels({"app": "1", "prefix": "room-11"})
    assert {row["name"] for row in found["rows"]} == {"room-11", *(f"room-{n}" for n in range(110, 120))}
    assert [row["name"] for row in (await channels.channels({"app": "2"}))["rows"]] == ["other"]


async def test_members_and_users_are_ids_only(channels: Channels) -> None:
    first = await channels.members({"app": "1", "channel": "presence-x"})
    assert (len(first["rows"]), first["total"], first["subscriptions"]) == (LIMIT, LIMIT + 5, 300)
    rest = await channels.members({"app": "1", "channel": "presence-x", "after": first["after"]})
    assert {*first["rows"], *rest["rows"]} == {f"user-{n}" for n in range(LIMIT + 5)}
    assert "hidden" not in str(first)
    assert await channels.users({"app": "1", "prefix": "a"}) == {
        "rows": [{"id": "ada", "connections": 2}],
        "after": "",
    }


async def test_what_is_asked_wrongly_is_refused(channels: Channels) -> None:
    for asked in ({"app": "3"}, {}, {"app": "1", "prefix": "#"}, {"app": "1", "after": "x"}):
        with pytest.raises(ApiError):
            await channels.channels(asked)
    with pytest.raises(ApiError):
        await channels.members({"app": "1", "channel": "presence-x", "after": "x"})
