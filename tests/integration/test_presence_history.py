"""Who came and went, on real engines: of all ways to go, also with the leader; and read by the Node library."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.node import NodeJs
from tests.support.placing import connected_to, leader
from tests.support.waiting import until

ROOM = "presence-room"
PATH = f"/channels/{ROOM}/presence/history"
KEEPS = APP | {"presence_history": [{"channels": "presence-room*"}]}
CONFIG = {"app_manager": {"array": {"apps": [KEEPS]}}}


def read(engine: Engine, what: str = "", **params: str) -> dict[str, Any]:
    answer = engine.request("GET", f"{PATH}{what}", params=params)
    assert answer.status == 200, answer
    found: dict[str, Any] = answer.json
    return found


def told(engine: Engine) -> list[tuple[str, str, str]]:
    items = read(engine, direction="oldest_first")["items"]
    return [(item["event"].removeprefix("member_"), item["cause"], item["user_id"]) for item in items]


async def until_told(engine: Engine, *expected: tuple[str, str, str]) -> None:
    """Whatever the order of those that happened at the same time."""

    async def all_there() -> bool:
        return len(await asyncio.to_thread(told, engine)) >= len(expected)

    await until(all_there)
    assert sorted(await asyncio.to_thread(told, engine)) == sorted(expected)


def came(user: str) -> tuple[str, str, str]:
    return ("added", "join", user)


def went(user: str, cause: str = "disconnect") -> tuple[str, str, str]:
    return ("removed", cause, user)


def test_one_worker_tells_who_came_and_went(node: NodeJs) -> None:
    async def scene(engine: Engine) -> None:
        async with connected(engine.ws_url) as ada, connected(engine.ws_url) as bob:
            await ada.subscribe(ROOM, user_id="ada", user_info={"name": "Ada"})
            await bob.subscribe(ROOM, user_id="bob")
            await bob.unsubscribe(ROOM)
            await until_told(engine, came("ada"), came("bob"), went("bob"))
            found = await asyncio.to_thread(read, engine, "/snapshot")
            assert [member["user_id"] for member in found["members"]] == ["ada"]
            assert found["continuity"]["complete"] is True
            found = await asyncio.to_thread(read, engine, "/snapshot", at_serial="2")
            assert [member["user_id"] for member in found["members"]] == ["ada", "bob"]
            socket = ada.socket_id
        await until_told(engine, came("ada"), came("bob"), went("bob"), went("ada"))
        app = {name: APP[name] for name in ("id", "key", "secret")}
        asked = {"path": PATH, "params": {"direction": "oldest_first", "limit": 1}}
        answer = await asyncio.to_thread(node, "server.call", app=app, port=engine.port, method="get", args=[asked])
        assert answer["status"] == 200
        (item,) = answer["body"]["items"]
        assert item["connection_id"] == socket
        assert item["presence_event"]["user_info"] == {"name": "Ada"}
        assert (await asyncio.to_thread(engine.request, "GET", "/channels/presence-x/presence/history")).status == 422

    with running(CONFIG) as engine:
        asyncio.run(scene(engine))


@pytest.mark.parametrize("dies", ["leader", "other"])
def test_a_worker_that_dies_takes_its_members_with_it_once(dies: str) -> None:
    async def scene(engine: Engine) -> None:
        leading = leader(engine)
        (other,) = set(engine.workers()) - {leading}
        victim, survivor = (leading, other) if dies == "leader" else (other, leading)
        async with AsyncExitStack() as stack:
            lost = await connected_to(stack, engine, victim)
            stays = await connected_to(stack, engine, survivor)
            await lost.subscribe(ROOM, user_id="lost")
            await stays.subscribe(ROOM, user_id="stays")
            await until_told(engine, came("lost"), came("stays"))
            os.kill(victim, signal.SIGKILL)
            await until_told(engine, came("lost"), came("stays"), went("lost", "orphan_cleanup"))
            assert read(engine)["continuity"]["complete"] is True
            back = await connected_to(stack, engine, survivor)
            await back.subscribe(ROOM, user_id="lost")
            await until_told(engine, came("lost"), came("stays"), went("lost", "orphan_cleanup"), came("lost"))
            found = read(engine, "/snapshot")
            assert [member["user_id"] for member in found["members"]] == ["lost", "stays"]

    with running(CONFIG, workers=2, noise=None) as engine:
        asyncio.run(scene(engine))
