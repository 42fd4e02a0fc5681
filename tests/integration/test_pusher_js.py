"""pusher-js as applications use it, against a running engine: the judge of the WebSocket side."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.engine import APP, Engine
from tests.support.node import NodeJs

MASTER_KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
JS_APP = {"id": APP["id"], "key": APP["key"], "secret": APP["secret"], "masterKey": MASTER_KEY}


class Browser:
    """One page with pusher-js in it."""

    def __init__(self, node: NodeJs, name: str, engine: Engine, **options: Any) -> None:
        self._node, self.name = node, name
        self.open = True
        self.socket_id = node("pusher.connect", client=name, **{"app": JS_APP, "port": engine.port} | options)

    def __call__(self, call: str, **args: Any) -> Any:
        return self._node(f"pusher.{call}", client=self.name, **args)

    def subscribe(self, channel: str, *events: str) -> Any:
        outcome = self("subscribe", channel=channel, events=events)
        assert outcome["ok"], outcome
        return outcome["data"]

    def take(self, **like: Any) -> Any:
        return self("take", like=like)

    def close(self) -> None:
        if self.open:
            self("disconnect")
        self.open = False


@pytest.fixture
def browser(node: NodeJs, engine: Engine, unique: Callable[[str], str]) -> Iterator[Callable[..., Browser]]:
    """Opens pages; they are closed at the end."""
    opened: list[Browser] = []

    def open_page(**options: Any) -> Browser:
        opened.append(Browser(node, unique("page"), engine, **options))
        return opened[-1]

    yield open_page
    for page in opened:
        page.close()


def test_public_channel(engine: Engine, browser: Callable[..., Browser], unique: Callable[[str], str]) -> None:
    channel, page = unique("news"), browser()
    page.subscribe(channel)
    engine.trigger(channel, "App\\Events\\Shipped", json.dumps({"text": "Zoë ☃"}))
    assert page.take(kind="channel", channel=channel, event="App\\Events\\Shipped")["data"] == {"text": "Zoë ☃"}
    page("unsubscribe", channel=channel)
    page.subscribe(unique("news"))
    assert engine.request("GET", f"/channels/{channel}").json == {"occupied": False}


def test_private_channel_needs_a_signature(
    engine: Engine, node: NodeJs, browser: Callable[..., Browser], unique: Callable[[str], str]
) -> None:
    channel, page = unique("private-room"), browser()
    page.subscribe(channel)
    engine.trigger(channel, "greeting", '"hello"')
    assert page.take(kind="channel", event="greeting")["data"] == "hello"

    liar = unique("liar")
    wrong = JS_APP | {"secret": "guessed"}
    node("pusher.connect", client=liar, app=wrong, port=engine.port)
    outcome = node("pusher.subscribe", client=liar, channel=channel)
    assert outcome == {"ok": False, "data": outcome["data"]}
    assert (outcome["data"]["type"], outcome["data"]["status"]) == ("AuthError", 401)
    node("pusher.disconnect", client=liar)


def test_presence_channel(engine: Engine, browser: Callable[..., Browser], unique: Callable[[str], str]) -> None:
    channel = unique("presence-room")
    ada = browser(member={"user_id": "ada", "user_info": {"name": "Ada"}})
    assert ada.subscribe(channel) == {"count": 1, "me": "ada", "members": {"ada": {"name": "Ada"}}}
    # Pages land on whichever worker the kernel chooses: with six, two workers are both in use almost always.
    bobs = [browser(member={"user_id": f"bob{n}", "user_info": {"name": f"Bob {n}"}}) for n in range(6)]
    for n, bob in enumerate(bobs):
        assert bob.subscribe(channel)["count"] == n + 2
        added = ada.take(kind="channel", event="pusher:member_added")
        assert added["data"] == {"id": f"bob{n}", "info": {"name": f"Bob {n}"}}
    second_tab = browser(member={"user_id": "bob0", "user_info": {"name": "Bob 0"}})
    assert second_tab.subscribe(channel)["count"] == 7
    bobs[0].close()
    bobs[1]("unsubscribe", channel=channel)
    removed = ada.take(kind="channel", event="pusher:member_removed")
    assert removed["data"]["id"] == "bob1", "bob0 has another tab open and must not be the one who left"
    assert ada("members", channel=channel)["count"] == 6
    assert engine.request("GET", f"/channels/{channel}", params={"info": "user_count"}).json["user_count"] == 6
    users = engine.request("GET", f"/channels/{channel}/users").json["users"]
    assert {user["id"] for user in users} == {"ada", "bob0", "bob2", "bob3", "bob4", "bob5"}
    assert ada("seen", like={"event": "pusher:member_removed"}) == []


def test_encrypted_channel_is_decrypted_by_the_page_alone(
    engine: Engine, node: NodeJs, browser: Callable[..., Browser], unique: Callable[[str], str]
) -> None:
    channel, page = unique("private-encrypted-vault"), browser()
    page.subscribe(channel)
    secret = {"pin": 4711, "to": "Zoë"}
    sent = node("server.call", app=JS_APP, port=engine.port, method="trigger", args=[channel, "secret", secret])
    assert sent == {"status": 200, "body": {}}
    assert page.take(kind="channel", event="secret")["data"] == secret


@pytest.mark.parametrize("prefix", ["cache-", "private-cache-", "presence-cache-"])
def test_cache_channel(
    engine: Engine, browser: Callable[..., Browser], unique: Callable[[str], str], prefix: str
) -> None:
    channel = unique(prefix + "price")
    first = browser(member={"user_id": "first"})
    first.subscribe(channel)
    assert first.take(kind="channel", channel=channel, event="pusher:cache_miss")
    engine.trigger(channel, "price", '{"eur":1}')
    engine.trigger(channel, "price", '{"eur":2}')
    assert [first.take(kind="channel", event="price")["data"]["eur"] for _ in range(2)] == [1, 2]
    late = browser(member={"user_id": "late"})
    late.subscribe(channel)
    assert late.take(kind="channel", event="price")["data"] == {"eur": 2}
    assert late("seen", like={"event": "pusher:cache_miss"}) == []


def test_encrypted_cache_channel(
    engine: Engine, node: NodeJs, browser: Callable[..., Browser], unique: Callable[[str], str]
) -> None:
    channel = unique("private-encrypted-cache-vault")
    node("server.call", app=JS_APP, port=engine.port, method="trigger", args=[channel, "secret", "kept"])
    page = browser()
    page.subscribe(channel)
    assert page.take(kind="channel", event="secret")["data"] == "kept"


def test_client_events(engine: Engine, browser: Callable[..., Browser], unique: Callable[[str], str]) -> None:
    private, presence = unique("private-chat"), unique("presence-chat")
    sender, *others = (browser(member={"user_id": f"u{n}"}) for n in range(5))
    for page in (sender, *others):
        page.subscribe(private, "client-typing")
        page.subscribe(presence, "client-typing")
    assert sender("trigger", channel=private, event="client-typing", data={"on": True})
    assert sender("trigger", channel=presence, event="client-typing", data=["on"])
    for page in others:
        quiet = page.take(kind="bound", channel=private)
        assert (quiet["data"], quiet["user"]) == ({"on": True}, None)
        known = page.take(kind="bound", channel=presence)
        assert (known["data"], known["user"]) == (["on"], "u0")
    assert sender("seen", like={"event": "client-typing"}) == []


def test_sign_in_and_messages_to_a_user(
    engine: Engine, node: NodeJs, browser: Callable[..., Browser], unique: Callable[[str], str]
) -> None:
    user_id = unique("ada")
    user = {"id": user_id, "user_info": {"name": "Ada"}}
    tabs = [browser(user=user) for _ in range(4)]
    stranger = browser(user={"id": unique("bob")})
    for tab in (*tabs, stranger):
        assert tab("signin")["id"].startswith(("ada", "bob"))
    sent = node("server.call", app=JS_APP, port=engine.port, method="sendToUser", args=[user_id, "nudge", {"n": 1}])
    assert sent == {"status": 200, "body": {}}
    for tab in tabs:
        assert tab.take(kind="user", event="nudge")["data"] == {"n": 1}
        assert tab("seen", like={"kind": "user", "event": "nudge"}) == [], "each event once per connection"
    assert stranger("seen", like={"event": "nudge"}) == []


def test_terminated_user_stays_away(
    engine: Engine, node: NodeJs, browser: Callable[..., Browser], unique: Callable[[str], str]
) -> None:
    user_id = unique("gone")
    pages = [browser(user={"id": user_id}) for _ in range(4)]
    for page in pages:
        page("signin")
    ended = node("server.call", app=JS_APP, port=engine.port, method="terminateUserConnections", args=[user_id])
    assert ended == {"status": 200, "body": {}}
    for page in pages:
        page.take(kind="state", state="disconnected")
        assert page("state") == "disconnected"


def test_unknown_key_is_final(engine: Engine, node: NodeJs, unique: Callable[[str], str]) -> None:
    """pusher-js sees the code 4001 as an error and does not come back."""
    page = unique("page")
    pending = node.begin("pusher.connect", client=page, app=JS_APP | {"key": "nobody"}, port=engine.port)
    assert node("pusher.take", client=page, like={"kind": "error"})["code"] == 4001
    assert node("pusher.state", client=page) in ("disconnected", "failed")
    assert not pending.done()
    node("pusher.disconnect", client=page)
