"""Every event has exactly the documented fields, in the documented order."""

from __future__ import annotations

import json

import pytest

from engine.interfaces import Transition
from engine.webhooks import event

T_MS = 1_678_886_400_000
DATA = '{"user_id":"user-456","user_info":{"name":"Bob"}}'


def transition(name: str, channel: str, **fields: str) -> event.WebhookEvent:
    return event.from_transition(Transition(b"1-1", name, "app-1", channel, 77, T_MS, T_MS + 3000, **fields))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (
            transition("channel_occupied", "chat-room-1"),
            '{"name":"channel_occupied","channel":"chat-room-1","time_ms":1678886400000,"seq":77}',
        ),
        (
            transition("channel_vacated", "chat-room-1", user_id="ignored"),
            '{"name":"channel_vacated","channel":"chat-room-1","time_ms":1678886400000,"seq":77}',
        ),
        (
            transition("member_added", "presence-lobby", user_id="user-456", socket_id="1234.1234", data=DATA),
            '{"name":"member_added","channel":"presence-lobby","user_id":"user-456","socket_id":"1234.1234",'
            '"data":"{\\"user_id\\":\\"user-456\\",\\"user_info\\":{\\"name\\":\\"Bob\\"}}",'
            '"time_ms":1678886400000,"seq":77}',
        ),
        (
            transition("member_removed", "presence-lobby", user_id="zoë", socket_id="1234.1234", data=DATA),
            '{"name":"member_removed","channel":"presence-lobby","user_id":"zoë","socket_id":"1234.1234",'
            '"time_ms":1678886400000,"seq":77}',
        ),
        (
            event.client_event("a", "presence-room", "client-typing", '{"isTyping":true}', "1.2", "user-123", T_MS),
            '{"name":"client_event","channel":"presence-room","event":"client-typing",'
            '"data":"{\\"isTyping\\":true}","socket_id":"1.2","user_id":"user-123","time_ms":1678886400000}',
        ),
        (
            event.client_event("a", "private-room", "client-x", "as it is", "1.2", None, T_MS),
            '{"name":"client_event","channel":"private-room","event":"client-x","data":"as it is",'
            '"socket_id":"1.2","time_ms":1678886400000}',
        ),
        (
            event.client_event("a", "private-room", "client-x", "null", "1.2", None, T_MS),
            '{"name":"client_event","channel":"private-room","event":"client-x","data":"null",'
            '"socket_id":"1.2","time_ms":1678886400000}',
        ),
        (
            event.cache_miss("a", "cache-room", T_MS),
            '{"name":"cache_miss","channel":"cache-room","time_ms":1678886400000}',
        ),
        (
            transition("subscription_count", "room", data="3"),
            '{"name":"subscription_count","channel":"room","subscription_count":3,"time_ms":1678886400000,"seq":77}',
        ),
        (
            event.connection_established("a", "1.2", T_MS, "192.0.2.1"),
            '{"name":"connection_established","channel":"","socket_id":"1.2","address":"192.0.2.1",'
            '"time_ms":1678886400000}',
        ),
        (
            event.connection_established("a", "1.2", T_MS),
            '{"name":"connection_established","channel":"","socket_id":"1.2","time_ms":1678886400000}',
        ),
        (
            event.connection_terminated("a", "1.2", 4201, T_MS, "u1"),
            '{"name":"connection_terminated","channel":"","socket_id":"1.2","user_id":"u1","reason":"4201",'
            '"time_ms":1678886400000}',
        ),
        (
            event.connection_terminated("a", "1.2", 1006, T_MS),
            '{"name":"connection_terminated","channel":"","socket_id":"1.2","reason":"1006","time_ms":1678886400000}',
        ),
    ],
    ids=lambda value: value.name if isinstance(value, event.WebhookEvent) else "",
)
def test_payload(made: event.WebhookEvent, expected: str) -> None:
    assert made.payload.decode() == expected
    assert made.name == json.loads(expected)["name"]
    assert made.channel == json.loads(expected)["channel"]


def test_client_event_keeps_its_own_name_for_the_filter() -> None:
    assert event.client_event("a", "private-r", "client-typing", "1", "1.2", None, T_MS).client_event == "client-typing"


def test_half_a_character_is_told_by_the_same_escape() -> None:
    made = event.client_event("a", "private-r", "client-\udfff", "é\ud83d", "1.2", None, T_MS)
    assert r'"event":"client-\udfff","data":"é\ud83d"'.encode() in made.payload


def test_connection_events_of_one_socket_keep_their_order_and_of_two_sockets_need_not() -> None:
    opened, closed = (event.connection_established("a", "1.2", 1), event.connection_terminated("a", "1.2", 1006, 2))
    assert opened.order == closed.order != event.connection_established("a", "1.3", 1).order
