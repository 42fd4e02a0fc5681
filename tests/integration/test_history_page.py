"""docs/history.md: its configurations, and its code in every language whose library is here, on a real engine."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.config.support import APP as ENTRY
from tests.config.support import loaded
from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.node import NodeJs
from tests.support.snippets import snippets

PAGE = "history.md"
CHANNEL = "private-orders-7"
RULE = {"channels": "private-orders-*", "count": 3, "replay": {"seconds": 300}}
CLIENT = {name: APP[name] for name in ("id", "key", "secret")}
#: In the order in which they stand there.
READ, WITH_PUSHER_JS, WITH_ECHO, AUTHORISED = range(4)


@pytest.fixture(scope="module")
def keeper() -> Iterator[Engine]:
    """Of each channel three events are kept, and all of the last minutes are asked for."""
    with running({"app_manager": {"array": {"apps": [APP | {"history": [RULE]}]}}}) as engine:
        yield engine


def code(which: int, channel: str) -> str:
    """With a channel that no other test uses."""
    found = snippets(PAGE, "js")[which]
    assert found.count("orders-7") == (which in (READ, WITH_ECHO))
    return found.replace("orders-7", channel.removeprefix("private-"))


def publish(engine: Engine, channel: str, *ids: str) -> None:
    for each in ids:
        engine.trigger(channel, "order-paid", json.dumps({"id": each}))


def test_its_configurations_can_be_loaded() -> None:
    rules, *_, beside = (text for text in snippets(PAGE, "json") if text.startswith('"'))
    found = loaded(json.loads(f"{{{rules}}}"))
    first, second = found.config.app_manager.array.apps[0].history
    assert (first.channels, second.replay is not None) == ("private-orders-*", True)
    app = ENTRY | json.loads(f"{{{beside}}}")
    (rule,) = loaded({"app_manager": {"array": {"apps": [app]}}}).config.app_manager.array.apps[0].presence_history
    defaults = {name: field.default for name, field in type(rule).model_fields.items() if name != "channels"}
    assert rule.model_dump(exclude={"channels"}) == defaults, "the page says that these are the defaults"


@pytest.mark.parametrize("which", [WITH_PUSHER_JS, WITH_ECHO], ids=["pusher-js", "Echo"])
def test_a_page_shows_each_event_once_and_hears_of_a_gap(
    keeper: Engine, node: NodeJs, unique: Callable[[str], str], which: int
) -> None:
    channel = unique(CHANNEL)

    def shown(*ids: str) -> None:
        for each in ids:
            assert node("snippet.take", client=channel, like={})["shown"] == {"id": each}

    node("snippet.page", client=channel, app=CLIENT, port=keeper.port, channel=channel, code=code(which, channel))
    publish(keeper, channel, "a", "b")
    shown("a", "b")
    node("snippet.returns", client=channel)
    publish(keeper, channel, "c")
    shown("c")
    publish(keeper, channel, "d")
    shown("d")
    node("snippet.returns", client=channel)
    assert node("snippet.take", client=channel, like={}) == {"reloaded": True}, "the first event is not kept any more"
    publish(keeper, channel, "e")
    shown("e")
    node("snippet.leave", client=channel)


def test_a_back_end_asks_for_its_client(keeper: Engine, node: NodeJs, unique: Callable[[str], str]) -> None:
    channel = unique(CHANNEL)
    publish(keeper, channel, "a")
    (item,) = keeper.request("GET", f"/channels/{channel}/history").json["items"]
    publish(keeper, channel, "b")

    async def scene() -> None:
        async with connected(keeper.ws_url) as client:
            names = {"socketId": client.socket_id, "channel": channel, "lastSeenMs": item["published_at_ms"] - 1}
            given = {"app": CLIENT, "port": keeper.port, "code": code(AUTHORISED, channel), "names": names}
            answer = await asyncio.to_thread(node, "snippet.server", **given)
            await client.send("pusher:subscribe", {"channel": channel} | answer)
            heard = [json.loads((await client.next("order-paid", channel))["data"])["id"] for _ in range(2)]
            assert heard == ["a", "b"]

    asyncio.run(scene())


def test_a_back_end_reads_it_in_node(keeper: Engine, node: NodeJs, unique: Callable[[str], str]) -> None:
    channel = unique(CHANNEL)
    publish(keeper, channel, "a")
    given = {"app": CLIENT, "port": keeper.port, "code": code(READ, channel)}
    ((item, *_), has_more, cursor) = node("snippet.server", **given, wanted="[items, has_more, next_cursor]")
    assert (item["message"]["data"], has_more, cursor) == ('{"id": "a"}', False, None)


def test_a_back_end_reads_it_in_python(keeper: Engine, unique: Callable[[str], str]) -> None:
    channel = unique(CHANNEL)
    publish(keeper, channel, "a")
    (text,) = snippets(PAGE, "python")
    here = {
        CHANNEL: channel,
        '"app-id"': f'"{APP["id"]}"',
        "ws.example": "127.0.0.1",
        "443": f"{keeper.port}, ssl=False",
    }
    for theirs, ours in here.items():
        assert text.count(theirs) == 1
        text = text.replace(theirs, ours)
    found: dict[str, Any] = {}
    exec(text, found)
    (item,) = found["page"]["items"]
    assert item["message"]["data"] == '{"id": "a"}'
