"""What the server's messages look like to the libraries, and what becomes of whatever a client sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.protocol import messages
from engine.protocol.json_values import dumps

SNOWMAN = 'Zoë "☃" \\ \u2028'


def twice(frame: bytes) -> tuple[dict[str, Any], Any]:
    """The message, and its `data` decoded once more, as it must be a string (C-18)."""
    message = json.loads(frame)
    assert isinstance(message["data"], str)
    return message, json.loads(message["data"])


# --- from the server


def test_connection_established() -> None:
    message, data = twice(messages.connection_established("123.456", 120))
    assert message["event"] == "pusher:connection_established"
    assert data == {"socket_id": "123.456", "activity_timeout": 120}


@pytest.mark.parametrize(("frame", "event"), [(messages.PING, "pusher:ping"), (messages.PONG, "pusher:pong")])
def test_ping_and_pong(frame: bytes, event: str) -> None:
    assert json.loads(frame) == {"event": event, "data": "{}"}


@pytest.mark.parametrize("code", [None, 4009, CloseCode.CLIENT_EVENT_REJECTED])
def test_errors_carry_an_object_with_a_number_or_null(code: int | None) -> None:
    expected = {"event": "pusher:error", "data": {"code": code, "message": SNOWMAN}}
    assert json.loads(messages.error(code, SNOWMAN)) == expected
    assert json.loads(messages.error(code, SNOWMAN, "private-a")) == expected | {"channel": "private-a"}


def test_subscription_succeeded_always_has_data() -> None:
    assert json.loads(messages.subscription_succeeded("private-encrypted-a")) == {
        "event": "pusher_internal:subscription_succeeded",
        "channel": "private-encrypted-a",
        "data": "{}",
    }


def test_presence_succeeded() -> None:
    roster = {"10": '{"name":"Mr. Pusher"}', "zoë": "null", "bare": ""}
    message, data = twice(messages.presence_succeeded("presence-a", roster))
    assert (message["event"], message["channel"]) == ("pusher_internal:subscription_succeeded", "presence-a")
    hash_ = {"10": {"name": "Mr. Pusher"}, "zoë": None, "bare": {}}
    assert data == {"presence": {"ids": ["10", "zoë", "bare"], "hash": hash_, "count": 3}}


def test_subscription_error() -> None:
    error = SubscriptionError("private-a", SNOWMAN, kind="LimitReached", status=CloseCode.OVER_CAPACITY)
    assert json.loads(messages.subscription_error(error)) == {
        "event": "pusher:subscription_error",
        "channel": "private-a",
        "data": {"type": "LimitReached", "error": SNOWMAN, "status": 4100},
    }


def test_members() -> None:
    message, data = twice(messages.member_added("presence-a", "u2", '{"name":"Bob"}'))
    assert (message["event"], message["channel"]) == ("pusher_internal:member_added", "presence-a")
    assert data == {"user_id": "u2", "user_info": {"name": "Bob"}}
    assert twice(messages.member_added("presence-a", "u2", ""))[1] == {"user_id": "u2", "user_info": {}}
    message, data = twice(messages.member_removed("presence-a", "u2"))
    assert message["event"] == "pusher_internal:member_removed"
    assert data == {"user_id": "u2"}


def test_cache_miss() -> None:
    assert json.loads(messages.cache_miss("cache-a")) == {
        "event": "pusher:cache_miss",
        "channel": "cache-a",
        "data": "{}",
    }


def test_signin_success_carries_an_object() -> None:
    user_data = '{"id": "12345", "x": "☃"}'
    assert json.loads(messages.signin_success(user_data)) == {
        "event": "pusher:signin_success",
        "data": {"user_data": user_data},
    }


def test_subscription_count() -> None:
    message, data = twice(messages.subscription_count("room", 3))
    assert (message["event"], message["channel"]) == ("pusher_internal:subscription_count", "room")
    assert data == {"subscription_count": 3}


def test_watchlist_events_leave_out_empty_lists() -> None:
    both = twice(messages.watchlist_events(["u2"], ["u3", "u4"]))[1]
    assert both == {"events": [{"name": "online", "user_ids": ["u2"]}, {"name": "offline", "user_ids": ["u3", "u4"]}]}
    message, data = twice(messages.watchlist_events([], ["u3"]))
    assert message["event"] == "pusher_internal:watchlist_events"
    assert data == {"events": [{"name": "offline", "user_ids": ["u3"]}]}


@given(event=st.text(), data=st.text(), channel=st.text())
def test_channel_events_deliver_data_untouched(event: str, data: str, channel: str) -> None:
    expected = {"event": event, "channel": channel, "data": data}
    assert json.loads(messages.channel_event(event, channel, data)) == expected
    prefix, suffix = messages.channel_event_parts(event, data)
    assert json.loads(prefix + dumps(channel) + suffix) == expected


def test_client_events() -> None:
    frame = messages.client_event("client-typing", "presence-a", b'{"on":true}', "u1")
    expected = {"event": "client-typing", "channel": "presence-a", "data": {"on": True}, "user_id": "u1"}
    assert json.loads(frame) == expected
    del expected["user_id"]
    assert json.loads(messages.client_event("client-typing", "presence-a", b'{"on":true}', None)) == expected


@pytest.mark.parametrize(("user_info", "extra"), [("", {}), ('{"a":[1]}', {"user_info": {"a": [1]}})])
def test_channel_data_of_a_signed_in_connection(user_info: str, extra: dict[str, Any]) -> None:
    assert json.loads(messages.channel_data("u1", user_info)) == {"user_id": "u1"} | extra


# --- from the client


def parse(message: Any) -> messages.ClientMessage:
    return messages.parse(json.dumps(message).encode())


BAD = [
    b"",
    b"not json",
    b"[]",
    b'"text"',
    b"1",
    b"null",
    b"{}",
    b"{",
    b'{"event":1}',
    b'{"event":null}',
    b'{"event":""}',
    b'{"event":["pusher:ping"]}',
    b'{"event":"client-a","channel":1}',
    b'{"event":"client-a","channel":["private-a"]}',
    b'{"event":"client-a","data":NaN}',
    b'{"event":"client-a","data":1e999}',
    b'{"event":"\xff"}',
    b'{"event":"a"}{"event":"b"}',
    b"[" * 100_000,
    b'{"event":"client-a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    b'{"event":"client-a","data":' + b"[" * 900 + b"]" * 900 + b"}",
    b'{"event":"client-a","data":' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
]


@pytest.mark.parametrize("payload", BAD, ids=lambda payload: repr(payload[:40]))
def test_bad_messages_are_told_and_leave_the_connection_open(payload: bytes) -> None:
    with pytest.raises(PusherError) as caught:
        messages.parse(payload)
    # Pysher and the mobile libraries would act on a code below 4300 (C-30).
    assert not caught.value.closes
    assert caught.value.message


def test_parse() -> None:
    message = parse({"event": "client-a", "channel": "private-a", "data": {"x": [1, None]}, "user_id": "forged"})
    assert (message.event, message.channel, message.data) == ("client-a", "private-a", {"x": [1, None]})
    assert json.loads(message.data_json) == {"x": [1, None]}


@pytest.mark.parametrize("value", ["", "text ☃", 0, -1.5, True, None, [], {}, {"a": {"b": [1, 2.5, "x"]}}, 2**63])
def test_client_data_comes_out_as_it_went_in(value: Any) -> None:
    message = parse({"event": "client-a", "channel": "private-a", "data": value})
    frame = messages.client_event(message.event, "private-a", message.data_json, None)
    assert json.loads(frame)["data"] == value


@pytest.mark.parametrize(
    "data",
    [rb'"cut: \ud83d"', rb'{"a": ["\uDE00"],  "b":1.0e2}', rb'"\/\u00e9"', b"12345678901234567890123"],
)
def test_client_data_keeps_its_spelling(data: bytes) -> None:
    message = messages.parse(b'{"data":' + data + b',"event":"client-\\ud83d","channel":"private-a"}')
    expected = rb'{"event":"client-\ud83d","channel":"private-a","data":' + data + b"}"
    assert messages.client_event(message.event, "private-a", message.data_json, None) == expected


def test_half_a_character_is_told_back() -> None:
    """Errors and acknowledgements repeat what a client sent."""
    assert rb'"message":"no \udfff"' in messages.error(4301, "no \udfff")
    assert rb'"channel":"private-\ud83d"' in messages.error(4301, "no", "private-\ud83d")
    assert rb'"channel":"\ud83d"' in messages.subscription_error(SubscriptionError("\ud83d", "no"))
    assert r'"user_data":"é\ud83d"'.encode() in messages.signin_success("é\ud83d")


def test_client_event_without_data_has_null() -> None:
    """Java fails on a missing member (E-4)."""
    message = parse({"event": "client-a", "channel": "private-a"})
    assert message.data_json == b"null"


def test_a_number_too_large_for_an_integer_is_the_same_to_a_browser() -> None:
    payload = b'{"event":"client-a","data":123456789012345678901234567890}'
    assert float(messages.parse(payload).data_json) == float("123456789012345678901234567890")


def test_the_last_of_equal_keys_counts() -> None:
    assert messages.parse(b'{"event":"a","event":"b"}').event == "b"


@pytest.mark.parametrize("encode", [lambda data: data, json.dumps], ids=["object", "string"])
def test_requests(encode: Any) -> None:
    data = {"channel": "presence-a", "auth": "key:hex", "channel_data": '{"user_id":"1"}'}
    message = parse({"event": "pusher:subscribe", "data": encode(data)})
    assert messages.subscribe_request(message) == messages.SubscribeRequest(**data)
    message = parse({"event": "pusher:unsubscribe", "data": encode({"channel": "a"})})
    assert messages.unsubscribe_channel(message) == "a"
    message = parse({"event": "pusher:signin", "data": encode({"auth": "key:hex", "user_data": "{}"})})
    assert messages.signin_request(message) == messages.SigninRequest("key:hex", "{}")


@pytest.mark.parametrize("extra", [{}, {"auth": ""}, {"auth": None, "channel_data": None}, {"channel_data": ""}])
def test_public_subscriptions_need_neither_auth_nor_data(extra: dict[str, Any]) -> None:
    message = parse({"event": "pusher:subscribe", "data": {"channel": "room"} | extra})
    assert messages.subscribe_request(message) == messages.SubscribeRequest("room", "", None)


@pytest.mark.parametrize(
    "data",
    [
        None,
        1,
        [],
        "",
        "not json",
        "[]",
        "1",
        {},
        {"channel": 1, "auth": "x", "user_data": 1},
        {"channel": None},
        {"channel": ""},
        {"channel": ["a"]},
        {"channel": "a", "auth": 1},
        {"channel": "a", "auth": {}, "user_data": {"id": "1"}},
        {"channel": "a", "channel_data": {"user_id": "1"}},
        "[" * 5000,
    ],
    ids=repr,
)
def test_bad_requests(data: Any) -> None:
    message = parse({"event": "pusher:subscribe", "data": data})
    with pytest.raises(PusherError) as caught:
        messages.subscribe_request(message)
    assert not caught.value.closes
    with pytest.raises(PusherError):
        messages.signin_request(message)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["pusher:subscribe", "pusher:signin", "pusher:unsubscribe", "client-a", "x"]) | JSON
FIELDS = st.fixed_dictionaries({}, optional={"event": NAMES, "channel": JSON, "data": JSON})


@given(st.binary() | JSON.map(lambda v: json.dumps(v).encode()) | FIELDS.map(lambda v: json.dumps(v).encode()))
def test_nothing_but_pusher_errors(payload: bytes) -> None:
    try:
        message = messages.parse(payload)
        if message.event.startswith("client-"):
            json.loads(messages.client_event(message.event, message.channel or "a", message.data_json, "u"))
    except PusherError as error:
        json.loads(messages.error(error.code, error.message, error.channel))
        return
    for read in (messages.subscribe_request, messages.unsubscribe_channel, messages.signin_request):
        try:
            read(message)
        except PusherError as error:
            assert not error.closes
