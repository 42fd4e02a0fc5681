"""The official back-end libraries for Python and NodeJs against a running engine: the judge of the HTTP side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pusher
import pytest
import sockudo_http_python

from tests.integration.conftest import HEX_APP
from tests.support.client import connected
from tests.support.engine import APP, Engine
from tests.support.node import NodeJs
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until


def back_end(engine: Engine, app: dict[str, Any] = APP) -> pusher.Pusher:
    return pusher.Pusher(app["id"], app["key"], app["secret"], host="127.0.0.1", port=engine.port, ssl=False)


async def test_python_triggers(engine: Engine, unique: Callable[[str], str]) -> None:
    one, two = unique("one"), unique("presence-two")
    async with connected(engine.ws_url) as client, connected(engine.ws_url) as sender:
        for each in (client, sender):
            await each.subscribe(one)
            await each.subscribe(two, user_id="u")
        sdk = back_end(engine)
        assert await asyncio.to_thread(sdk.trigger, [one, two], "greeting", {"text": "Zoë"}) == {}
        for channel in (one, two):
            frame = await client.next("greeting", channel)
            assert json.loads(frame["data"]) == {"text": "Zoë"}
        await sender.settle()
        excluded = await asyncio.to_thread(sdk.trigger, one, "not-to-me", "x", socket_id=sender.socket_id)
        assert excluded == {}
        await client.next("not-to-me", one)
        assert await sender.settle() == []
        batch = [
            {"channel": one, "name": "first", "data": "1"},
            {"channel": one, "name": "second", "data": {"n": 2}, "socket_id": sender.socket_id},
        ]
        assert await asyncio.to_thread(sdk.trigger_batch, batch) == {}
        assert (await client.next("first", one))["data"] == "1"
        assert (await client.next("second", one))["data"] == '{"n": 2}'
        await sender.next("first", one)
        assert await sender.settle() == []


async def test_sockudo_http_python_repeats_nothing(engine: Engine, unique: Callable[[str], str]) -> None:
    """Every form of a publish and of an idempotency key that the library has; each is sent twice."""
    one, two = unique("one"), unique("two")
    options = sockudo_http_python.SockudoOptions(host="127.0.0.1", port=engine.port, max_retries=1)
    extras = sockudo_http_python.MessageExtras
    event = sockudo_http_python.Event

    def publish() -> None:
        sdk = sockudo_http_python.Sockudo(APP["id"], APP["key"], APP["secret"], options=options)
        by_option = sockudo_http_python.TriggerOptions(idempotency_key="k1", info=["subscription_count"])
        in_extras = sockudo_http_python.TriggerOptions(extras=extras(idempotency_key="k2", headers={"a": 1}, echo=True))
        batch = [
            event(one, "batched", "1", idempotency_key="k3", info="subscription_count"),
            event(None, "wide", {"n": 2}, channels=[one, two], idempotency_key="k4", tags={"a": "b"}),
            event(one, "extra", "3", extras=extras(idempotency_key="k5", ephemeral=True)),
        ]
        for _ in range(2):
            results = [
                sdk.trigger(one, "single", {"n": 1}, by_option),
                sdk.trigger([one, two], "multi", "x", in_extras),
                sdk.trigger_batch(batch),
            ]
            assert all(result.ok for result in results), results
            assert results[0].json() == {"channels": {one: {"subscription_count": 1}}}
            assert results[2].json() == {"batch": [{"subscription_count": 1}, {}, {}]}
        sdk.set_auto_idempotency_key(True)
        assert sdk.trigger(one, "auto", "1").ok
        assert sdk.trigger_batch([event(one, "auto-batched", "1"), event(one, "auto-batched", "2")]).ok
        assert sdk.trigger([one, two], "end", "").ok
        sdk.close()

    async with connected(engine.ws_url) as client:
        await client.subscribe(one)
        await client.subscribe(two)
        await asyncio.to_thread(publish)
        for channel in (one, two):
            await client.next("end", channel)
        frames = await client.settle()
        assert sorted((frame["event"], frame["channel"]) for frame in frames) == sorted(
            [
                *(("multi", channel) for channel in (one, two)),
                *(("wide", channel) for channel in (one, two)),
                *((name, one) for name in ("single", "batched", "extra", "auto", "auto-batched", "auto-batched")),
            ]
        )


async def test_python_queries(engine: Engine, unique: Callable[[str], str]) -> None:
    stem = unique("presence-q")
    room, cached = f"{stem}-room", unique("cache-q")

    def queries() -> None:
        sdk = back_end(engine)
        listed = sdk.channels_info(prefix_filter=stem, attributes=["user_count"])
        assert listed == {"channels": {room: {"user_count": 2}}}
        info = sdk.channel_info(room, attributes=["user_count", "subscription_count"])
        assert info == {"occupied": True, "user_count": 2, "subscription_count": 3}
        assert sorted(user["id"] for user in sdk.users_info(room)["users"]) == ["7", "ada"]
        sdk.trigger(cached, "price", "42")
        assert sdk.channel_info(cached, attributes=["cache"])["cache"]["data"] == "42"
        assert sdk.channel_info(unique("nobody")) == {"occupied": False}
        with pytest.raises(pusher.errors.PusherBadRequest):
            sdk.channel_info(cached, attributes=["user_count"])

    async with connected(engine.ws_url) as ada, connected(engine.ws_url) as tab, connected(engine.ws_url) as bob:
        await ada.subscribe(room, user_id="ada")
        await tab.subscribe(room, user_id="ada")
        await bob.subscribe(room, user_id=7)
        await bob.subscribe(cached)
        await asyncio.to_thread(queries)


async def test_python_terminates_a_user(engine: Engine, unique: Callable[[str], str]) -> None:
    user = unique("user")
    async with connected(engine.ws_url) as signed_in, connected(engine.ws_url) as stranger:
        await signed_in.signin(user)
        await stranger.signin(unique("stranger"))
        await asyncio.to_thread(back_end(engine).terminate_user_connections, user)
        assert await signed_in.wait_closed() == 4009
        await stranger.settle()
        assert stranger.close_code is None


def test_python_is_told_what_is_wrong(engine: Engine) -> None:
    with pytest.raises(pusher.errors.PusherBadAuth):
        back_end(engine, APP | {"secret": "guessed"}).trigger("a", "b", "c")
    with pytest.raises(pusher.errors.PusherBadStatus, match="404"):
        back_end(engine, APP | {"id": "99"}).trigger("a", "b", "c")


def test_python_validates_webhooks(engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]) -> None:
    """`validate_webhook` believes requests of an app whose webhooks are configured with signature_format "hex"."""
    channel = unique("private-hook")

    async def scenario() -> None:
        async with connected(engine.ws_url, HEX_APP["key"], HEX_APP["secret"]) as client:
            await client.subscribe(channel)
            await client.send("client-hello", {"n": 1}, channel)

    asyncio.run(scenario())
    wait_until(lambda: set(hooks.names("/hex", channel)) == {"channel_occupied", "client_event", "channel_vacated"})
    sdk = back_end(engine, HEX_APP)
    for request in hooks.to("/hex"):
        read = sdk.validate_webhook(
            request.headers["x-pusher-key"], request.headers["x-pusher-signature"], request.body.decode()
        )
        assert read == request.json


async def test_node_triggers_and_queries(node: NodeJs, engine: Engine, unique: Callable[[str], str]) -> None:
    js_app = {name: APP[name] for name in ("id", "key", "secret")}
    room = unique("presence-node")

    def call(method: str, *args: Any) -> Any:
        answer = node("server.call", app=js_app, port=engine.port, method=method, args=args)
        assert answer["status"] == 200, answer
        return answer["body"]

    async with connected(engine.ws_url) as client:
        await client.subscribe(room, user_id="ada")
        info = await asyncio.to_thread(call, "trigger", room, "greeting", {"n": 1}, {"info": "user_count"})
        assert info == {"channels": {room: {"user_count": 1}}}
        assert json.loads((await client.next("greeting"))["data"]) == {"n": 1}
        batch = [{"channel": room, "name": f"e{n}", "data": {"n": n}, "info": "user_count"} for n in range(10)]
        counted = await asyncio.to_thread(call, "triggerBatch", batch)
        assert counted == {"batch": [{"user_count": 1}] * 10}
        assert [frame["event"] for frame in await client.settle()] == [f"e{n}" for n in range(10)]
        path = f"/channels/{room}/users"
        users = await asyncio.to_thread(call, "get", {"path": path})
        assert users == {"users": [{"id": "ada"}]}


def test_node_validates_webhooks(
    node: NodeJs, engine: Engine, hooks: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    js_app = {name: HEX_APP[name] for name in ("id", "key", "secret")}
    room = unique("presence-hook")

    async def scenario() -> None:
        async with connected(engine.ws_url, HEX_APP["key"], HEX_APP["secret"]) as client:
            await client.subscribe(room, user_id="ada", user_info={"name": "Ada"})

    asyncio.run(scenario())
    hooks.wait_for_names(["channel_occupied", "member_added", "member_removed", "channel_vacated"], "/hex", room)
    mine = [request for request in hooks.to("/hex") if request.events[0]["channel"] == room]
    for request in mine:
        body = request.body.decode()
        read = node("server.webhook", app=js_app, headers=dict(request.headers), body=body)
        assert read["valid"], request
        assert read["events"] == request.events
        changed = node("server.webhook", app=js_app, headers=dict(request.headers), body=body.replace(room, "other"))
        assert not changed["valid"]
