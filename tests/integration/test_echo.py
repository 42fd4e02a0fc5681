"""laravel-echo over pusher-js, as a Laravel front end uses it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.engine import APP, Engine
from tests.support.node import NodeJs

JS_APP = {"id": APP["id"], "key": APP["key"], "secret": APP["secret"]}


@pytest.fixture
def page(node: NodeJs, engine: Engine, unique: Callable[[str], str]) -> Iterator[Callable[[str], str]]:
    """Opens a page of one user, returns the page's name; all are closed at the end."""
    opened: list[str] = []

    def open_page(user: str) -> str:
        opened.append(unique("echo"))
        member = {"user_id": user, "user_info": {"name": user.title()}}
        node("echo.connect", client=opened[-1], app=JS_APP, port=engine.port, member=member)
        return opened[-1]

    yield open_page
    for name in opened:
        node("echo.disconnect", client=name)


def test_private_event_and_whisper(
    node: NodeJs, engine: Engine, page: Callable[[str], str], unique: Callable[[str], str]
) -> None:
    orders = unique("orders")
    ada, bob = page("ada"), page("bob")
    for client in (ada, bob):
        node("echo.listen", client=client, kind="private", channel=orders, events=["OrderShipped"], whispers=["typing"])
    # Echo listens to App\Events\OrderShipped and adds "private-" itself; so does Laravel when it broadcasts.
    engine.trigger(f"private-{orders}", "App\\Events\\OrderShipped", json.dumps({"id": 7}))
    for client in (ada, bob):
        taken = node("echo.take", client=client, like={"kind": "event", "channel": orders})
        assert (taken["event"], taken["data"]) == ("OrderShipped", {"id": 7})
    node("echo.whisper", client=ada, kind="private", channel=orders, event="typing", data={"name": "Ada"})
    assert node("echo.take", client=bob, like={"kind": "whisper"})["data"] == {"name": "Ada"}
    assert node("echo.seen", client=ada, like={"kind": "whisper"}) == []


def test_presence_here_joining_leaving(node: NodeJs, page: Callable[[str], str], unique: Callable[[str], str]) -> None:
    room = unique("room")
    ada = page("ada")
    assert node("echo.join", client=ada, channel=room) == [{"name": "Ada"}]
    bob = page("bob")
    here = node("echo.join", client=bob, channel=room)
    assert sorted(member["name"] for member in here) == ["Ada", "Bob"]
    assert node("echo.take", client=ada, like={"kind": "joining"})["name"] == "Bob"
    node("echo.leave", client=bob, channel=room)
    assert node("echo.take", client=ada, like={"kind": "leaving"})["name"] == "Bob"
    assert node("echo.seen", client=bob, like={}) == [], "nobody is told of his own coming and going"


def test_public_channel_and_to_others(
    node: NodeJs, engine: Engine, page: Callable[[str], str], unique: Callable[[str], str]
) -> None:
    """`broadcast(...)->toOthers()` leaves out the socket that caused the event."""
    news = unique("news")
    ada, bob = page("ada"), page("bob")
    for client in (ada, bob):
        node("echo.listen", client=client, kind="channel", channel=news, events=[".posted"])
    socket_id = node("echo.connect", client=(carol := unique("echo")), app=JS_APP, port=engine.port)
    node("echo.listen", client=carol, kind="channel", channel=news, events=[".posted"])
    engine.trigger(news, "posted", '{"n":1}', socket_id=socket_id)
    engine.trigger(news, "posted", '{"n":2}')
    for client, expected in ((ada, 1), (bob, 1), (carol, 2)):
        assert node("echo.take", client=client, like={"kind": "event"})["data"] == {"n": expected}
    node("echo.disconnect", client=carol)
