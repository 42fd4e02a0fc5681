"""Plain client events: their frame is the one that the other path makes, and all that is not plain is left to it."""

from __future__ import annotations

import orjson
import pytest

from engine._fast.client_event import PlainClientEvents
from engine._fast.member import Member
from engine.app import App
from engine.apps.build import build_apps
from engine.config.loading.load import load
from engine.metrics.metrics import Metrics
from engine.protocol import messages
from engine.webhooks.emitter import Emitter
from engine.webhooks.event import WebhookEvent, client_event
from engine.ws.client_events import are_reported, only_sent
from engine.ws.state import ConnectionState
from tests._fast.pair import hub_server
from tests.support.waiting import until

PLAIN = (
    b'{"event":"client-x","channel":"private-room","data":{"a":[1,-2.5,true,null,"\\u00e9"]}}',
    b'{"event":"client-x","channel":"private-room","data":"text \\"quoted\\" and \\ud83d"}',
    '{"event":"client-tippt","channel":"private-room","data":"müde \U0001f600"}'.encode(),
    b' { "data" : {"x" : 1} , "event" : "client-x" , "channel" : "private-room" } ',
    b'{"event":"client-","channel":"private-room","data":""}',
)
LEFT = (
    b"",
    b"[]",
    b'{"event":"client-x","channel":"private-room"}',
    b'{"event":"client-x","channel":"private-room","data":1} x',
    b'{"event":"client-x","channel":"private-room","data":1,"more":2}',
    b'{"event":"client-x","event":"client-y","channel":"private-room","data":1}',
    b'{"event":"client-\\u0041","channel":"private-room","data":1}',
    b'{"event":"pusher:ping","channel":"private-room","data":1}',
    b'{"event":"client-x","channel":"room","data":1}',
    b'{"event":"client-x","channel":"private-other","data":1}',
    b'{"event":"client-x","channel":"private-room","data":1e9}',
    b'{"event":"client-x","channel":"private-room","data":%s}' % (b"1" * 40),
    b'{"event":"client-x","channel":"private-room","data":%s}' % (b"[" * 40 + b"]" * 40),
    b'{"event":"client-x","channel":"private-room","data":"\xff"}',
    b'{"event":"client-x","channel":"private-room","data":01}',
    b'{"event":"client-%s","channel":"private-room","data":1}' % (b"x" * 200),
    b'{"event":"client-x","channel":"private-room","data":"%s"}' % (b"x" * 200_000),
)


TOLD = [{"url": "https://example.com/", "event_types": ["client_event"]}]


class Sink:
    """Keeps what it is given. :param made: there."""

    def __init__(self, made: list[WebhookEvent]) -> None:
        self._made = made

    def add(self, app: App, event: WebhookEvent) -> None:
        self._made.append(event)


def app(**fields: object) -> App:
    entry = {"id": "app", "key": "k", "secret": "s", "enable_client_messages": True, **fields}
    (made,) = build_apps(load(None, {}, 1, {"app_manager.array.apps": [entry]}).config)
    return made


async def test_plain_events_reach_the_others_as_the_other_path_spells_them() -> None:
    async with hub_server() as server:
        metrics = Metrics()
        plain = PlainClientEvents(server.hub, None, metrics.events.by_clients, only_sent, are_reported)
        sender, sender_peer = await server.connect()
        other, other_peer = await server.connect()
        for connection in (sender, other):
            connection.app, connection.state = app(), ConnectionState()
            server.subscribe(connection, "private-room")
        expected = []
        for payload in PLAIN:
            message = messages.parse(payload)
            assert message.channel is not None
            expected.append(messages.client_event(message.event, message.channel, message.data_json, None).decode())
            assert plain.take(sender, payload)
        for payload in LEFT:
            assert not plain.take(sender, payload), payload
        await until(lambda: other_peer.texts == expected)
        assert sender_peer.texts == []


async def test_on_presence_channels_the_sender_is_named() -> None:
    async with hub_server() as server:
        plain = PlainClientEvents(server.hub, None, Metrics().events.by_clients, only_sent, are_reported)
        sender, _ = await server.connect()
        other, peer = await server.connect()
        for connection in (sender, other):
            connection.app, connection.state = app(), ConnectionState()
            server.subscribe(connection, "presence-room")
        sender.state.remember_member("presence-room", Member('a"b', "", sender.socket_id, "{}", 100, 1))
        assert plain.take(sender, b'{"event":"client-x","channel":"presence-room","data":{}}')
        await until(lambda: len(peer.texts) == 1)
        assert orjson.loads(peer.texts[0])["user_id"] == 'a"b'
        assert peer.texts == [messages.client_event("client-x", "presence-room", b"{}", 'a"b').decode()]


async def test_who_is_to_be_told_is_told_what_was_sent() -> None:
    async with hub_server() as server:
        made: list[WebhookEvent] = []
        emitter = Emitter(Sink(made), lambda: 1700)
        plain = PlainClientEvents(
            server.hub, None, Metrics().events.by_clients, only_sent, are_reported, emitter.client_event
        )
        sender, _ = await server.connect()
        sender.app, sender.state = app(webhooks=TOLD), ConnectionState()
        for channel in ("private-room", "presence-room"):
            server.subscribe(sender, channel)
        sender.state.remember_member("presence-room", Member("u1", "", sender.socket_id, "{}", 100, 1))
        for payload in PLAIN:
            assert plain.take(sender, payload)
        assert plain.take(sender, b'{"event":"client-x","channel":"presence-room","data":{"a": 1}}')
        sender.app = app()
        assert plain.take(sender, PLAIN[0])
        *found, by_member = made
        for event, payload in zip(found, PLAIN, strict=True):
            message = messages.parse(payload)
            text = message.data if isinstance(message.data, str) else message.data_json.decode()
            assert event == client_event("app", "private-room", message.event, text, sender.socket_id, None, 1700)
        assert by_member == client_event("app", "presence-room", "client-x", '{"a": 1}', sender.socket_id, "u1", 1700)


@pytest.mark.parametrize(
    ("fields", "taken"),
    [
        ({}, [True, True, True]),
        ({"enable_client_messages": False}, [False, False, False]),
        ({"webhooks": TOLD}, [False, False, False]),
        ({"webhooks": [{"url": "https://example.com/", "event_types": ["channel_occupied"]}]}, [True, True, True]),
    ],
)
async def test_what_is_to_be_told_or_refused_is_left(fields: dict[str, object], taken: list[bool]) -> None:
    async with hub_server() as server:
        plain = PlainClientEvents(server.hub, None, Metrics().events.by_clients, only_sent, are_reported)
        sender, _ = await server.connect()
        sender.app, sender.state = app(**fields), ConnectionState()
        server.subscribe(sender, "private-room")
        assert [plain.take(sender, PLAIN[0]) for _ in taken] == taken
