"""Signatures of subscriptions and sign-ins: the published vectors, what must be refused, and the signed data."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.app import App
from engine.errors import CloseCode, PusherError, SubscriptionError
from engine.protocol import auth
from tests.protocol.vectors import APP_A, APP_B, KEY_A, KEY_B, SECRET_B, SOCKET_A, SOCKET_B, make_app
from tests.support.signing import channel_auth

PUSHER = '{"user_id":10,"user_info":{"name":"Mr. Pusher"}}'
ALICE = '{"user_id":"u1","user_info":{"name":"Alice"}}'

# app, socket id, channel, channel_data, signature (docs/protocol.md 9.1)
SUBSCRIPTIONS = {
    "A-V1": (
        APP_A,
        SOCKET_A,
        "private-foobar",
        None,
        "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
    ),
    "A-V2": (
        APP_A,
        SOCKET_A,
        "presence-foobar",
        PUSHER,
        "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c",
    ),
    "A-V3": (
        APP_A,
        SOCKET_A,
        "presence-foobar",
        '{"user_id":10,"user_info":{"name":"Mr. Channels"}}',
        "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
    ),
    "A-V4": (
        APP_A,
        SOCKET_A,
        "presence-foobar",
        '{"user_id":"10","user_info":{"name":"Mr. Channels"}}',
        "4c6d8fc42a207ba96a0779844171b0bb819d96ffceef9609f5cce596ab17a800",
    ),
    "A-V5": (
        APP_A,
        SOCKET_A,
        "presence-foobar",
        '{"user_id":"10","user_info":{"name":"Zoë ☃"}}',
        "44cdd5529bb286cbe39e34279152e1e08ad0aed63e0d30537b71006ac942d763",
    ),
    "A-V6": (
        APP_A,
        SOCKET_A,
        "presence-foobar",
        None,
        "71506e66e7fdca106571b8999a849ad34245bc653772e51e0026c1a2475b92ba",
    ),
    "A-V7": (
        APP_A,
        SOCKET_A,
        "private-encrypted-foobar",
        None,
        "e6a18892d037c5d5e76a2265df4f086ffc38631605530dfd214aa5bff495f533",
    ),
    "A-V8": (
        APP_A,
        SOCKET_A,
        "private-cache-foobar",
        None,
        "395f4a03f06e17b74af8d9c58386cf386e70176f58452420f042b6e1bddefa43",
    ),
    "A-V9": (
        APP_A,
        SOCKET_A,
        "private-encrypted-cache-foobar",
        None,
        "b9b56ee68b2117189dbac324760a1f9958070108e3ef45232e5dcbba37dbb831",
    ),
    "A-V10": (
        APP_A,
        SOCKET_A,
        "presence-cache-foobar",
        '{"user_id":"10"}',
        "01d6b8ce6a668891d3ded2167ec0da3f4d90f5d6fb8f20ad4c1e7fdfebd1e976",
    ),
    "A-V11": (
        APP_A,
        SOCKET_A,
        "private-foobar",
        '{"x":1}',
        "35884e908e059bfa19468fa6c616fa8c965fe9668613f9682f57fec3fe2fc1be",
    ),
    "B-V1": (APP_B, SOCKET_B, "private-room", None, "861e99665fd59c343f5fad655708067fdab8da221ac48261b1f751107a1c6270"),
    "B-V2": (
        APP_B,
        SOCKET_B,
        "presence-room",
        ALICE,
        "c54a7b87a5bfe6b9b6a2e1ea9af88b830b3294bf10e7a2a68cac699c4cb2328c",
    ),
    "B-V3": (
        APP_B,
        SOCKET_B,
        "private-cache-room",
        None,
        "ff62af7432db21b74aaf170d636ec97906c1c438b26813d9535bd058ba57bc2e",
    ),
    "X-V3": (
        make_app("foo", "bar"),
        "345.23",
        "private-encrypted-channel",
        None,
        "fff0503dfe4929f5162efe4d1dacbce524b0d8e7e1331117a8651c0e74d369e3",
    ),
}
B_V1, B_V2 = SUBSCRIPTIONS["B-V1"][4], SUBSCRIPTIONS["B-V2"][4]

# app, socket id, user_data, signature
SIGNINS = {
    "U-V1": (APP_A, SOCKET_A, '{"id":"12345"}', "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"),
    "U-V2": (
        APP_A,
        SOCKET_A,
        '{"id":"12345","user_info":{"name":"Ada"},"watchlist":["u2","u3"]}',
        "4cd702e92f65956a8e5cbfa133a9134a588f1a75a1c8aa675b1346bb13d9b13d",
    ),
    "B-V4": (APP_B, SOCKET_B, '{"id":"u1"}', "2954d5ddc6eff2651fc6437425bbef071c0ca960d3891ab7f27dcf8632a9c68b"),
}


@pytest.mark.parametrize("vector", SUBSCRIPTIONS.values(), ids=SUBSCRIPTIONS)
def test_subscription_vectors(vector: tuple[App, str, str, str | None, str]) -> None:
    app, socket_id, channel, channel_data, signature = vector
    auth.verify_channel_auth(app, socket_id, channel, f"{app.key}:{signature}", channel_data)


@pytest.mark.parametrize("vector", SIGNINS.values(), ids=SIGNINS)
def test_signin_vectors(vector: tuple[App, str, str, str]) -> None:
    app, socket_id, user_data, signature = vector
    auth.verify_signin(app, socket_id, f"{app.key}:{signature}", user_data)


@pytest.mark.parametrize(
    ("signed", "channel", "channel_data"),
    [
        ("private-a:1", "private-a", "1"),
        ("private-team:7:chat", "private-team", "7:chat"),
        ("private-a:x", "private-a", "x"),
        ("presence-a:[1]", "presence-a", "[1]"),
    ],
)
def test_a_signature_for_a_name_with_colons_opens_no_other(signed: str, channel: str, channel_data: str) -> None:
    with pytest.raises(SubscriptionError):
        auth.verify_channel_auth(
            APP_B, SOCKET_B, channel, channel_auth(KEY_B, SECRET_B, SOCKET_B, signed), channel_data
        )


def test_a_private_channel_may_be_given_channel_data_that_is_not_signed() -> None:
    auth.verify_channel_auth(APP_B, SOCKET_B, "private-room", f"{KEY_B}:{B_V1}", '{"x":1}')


@pytest.mark.parametrize(
    ("socket_id", "channel", "given", "channel_data"),
    [
        ("123456789.987654322", "private-room", f"{KEY_B}:{B_V1}", None),
        (SOCKET_B, "private-room2", f"{KEY_B}:{B_V1}", None),
        (SOCKET_B, "private-cache-room", f"{KEY_B}:{B_V1}", None),
        (SOCKET_B, "private-room", f"{KEY_B}:{B_V1.upper()}", None),
        (SOCKET_B, "private-room", f"{KEY_A}:{B_V1}", None),
        (SOCKET_B, "private-room", B_V1, None),
        (SOCKET_B, "private-room", f"{KEY_B}{B_V1}", None),
        (SOCKET_B, "private-room", f":{B_V1}", None),
        (SOCKET_B, "private-room", f"{KEY_B}:", None),
        (SOCKET_B, "private-room", f"{KEY_B}:{B_V1} ", None),
        (SOCKET_B, "private-room", f"{KEY_B}:{B_V1[:-1]}", None),
        (SOCKET_B, "private-room", f"{KEY_B}:{'ä' * 64}", None),
        (SOCKET_B, "private-room", "", None),
        (SOCKET_B, "private-room", KEY_B, None),
        (SOCKET_B, "presence-room", f"{KEY_B}:{B_V2}", ALICE.replace(":", ": ", 1)),
        (SOCKET_B, "presence-room", f"{KEY_B}:{B_V2}", None),
        (SOCKET_B, "presence-room", channel_auth(KEY_B, SECRET_B, SOCKET_B, "presence-room"), ALICE),
    ],
)
def test_subscriptions_that_must_be_refused(socket_id: str, channel: str, given: str, channel_data: str | None) -> None:
    with pytest.raises(SubscriptionError) as caught:
        auth.verify_channel_auth(APP_B, socket_id, channel, given, channel_data)
    assert (caught.value.channel, caught.value.status, caught.value.kind) == (channel, 401, "AuthError")
    assert not caught.value.closes


def test_a_refusal_says_what_should_have_been_signed() -> None:
    with pytest.raises(SubscriptionError, match=r"digest of 1\.2:private-a, but got beef"):
        auth.verify_channel_auth(APP_B, "1.2", "private-a", f"{KEY_B}:beef", None)
    with pytest.raises(SubscriptionError, match="Invalid key in subscription auth data: 'other:beef'"):
        auth.verify_channel_auth(APP_B, "1.2", "private-a", "other:beef", None)


def test_a_refusal_does_not_send_back_all_that_came() -> None:
    with pytest.raises(SubscriptionError) as caught:
        auth.verify_channel_auth(APP_B, "1.2", "presence-a", f"{KEY_B}:{'x' * 60_000}", "y" * 60_000)
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize(
    ("given", "user_id", "user_info"),
    [
        (PUSHER, "10", {"name": "Mr. Pusher"}),
        (ALICE, "u1", {"name": "Alice"}),
        ('{"user_id":"u1"}', "u1", None),
        ('{"user_id":-7,"user_info":null}', "-7", None),
        ('{"user_id":9223372036854775807}', "9223372036854775807", None),
        ('{"user_id":10.0}', "10", None),
        ('{"user_id": 1e3 }', "1000", None),
        ('{"user_id":-0.0,"user_info":"\\ud83d"}', "0", "\ud83d"),
        ('{"user_id":"zoë ☃","user_info":["x",1.5]}', "zoë ☃", ["x", 1.5]),
        ('{"user_id":"%s"}' % ("x" * 200), "x" * 200, None),
    ],
)
def test_channel_data(given: str, user_id: str, user_info: Any) -> None:
    found_id, found_info = auth.parse_channel_data(APP_A, "presence-a", auth.json_members(given))
    assert found_id == user_id
    assert (json.loads(found_info) if found_info else None) == user_info


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "text",
        "[]",
        "1",
        "{}",
        '{"user_info":{}}',
        '{"user_id":""}',
        '{"user_id":null}',
        '{"user_id":true}',
        '{"user_id":1.5}',
        '{"user_id":1e-3}',
        '{"user_id":1e999}',
        '{"user_id":["u"]}',
        '{"user_id":{"a":1}}',
        '{"user_id":"a\\nb"}',
        '{"user_id":"\\ud800"}',
        '{"user_id":"%s"}' % ("x" * 201),
        '{"user_id":"u","user_info":%s}' % ("[" * 900 + "]" * 900),
        "[" * 5000,
    ],
    ids=lambda given: repr(given)[:40],
)
def test_channel_data_that_must_be_refused(given: str | None) -> None:
    with pytest.raises(SubscriptionError) as caught:
        auth.parse_channel_data(APP_A, "presence-a", auth.json_members(given))
    assert (caught.value.channel, caught.value.status) == ("presence-a", 401)


def test_member_size_is_that_of_user_info_in_bytes() -> None:
    app = make_app(KEY_A, "s", max_presence_member_bytes=16)
    assert auth.parse_channel_data(app, "presence-a", auth.json_members('{"user_id":"u","user_info": "☃☃☃\\u260312"}'))
    with pytest.raises(SubscriptionError) as caught:
        auth.parse_channel_data(app, "presence-a", auth.json_members('{"user_id":"u","user_info":"☃☃☃\\u2603123"}'))
    assert (caught.value.kind, caught.value.status) == ("LimitReached", 4301)


@pytest.mark.parametrize(
    ("given", "user_data"),
    [
        (f"{KEY_A}:{SIGNINS['U-V1'][3]}", '{"id":"12345"} '),
        (f"{KEY_A}:{SIGNINS['U-V1'][3].upper()}", '{"id":"12345"}'),
        (f"{KEY_B}:{SIGNINS['U-V1'][3]}", '{"id":"12345"}'),
        (SIGNINS["U-V1"][3], '{"id":"12345"}'),
        (f"{KEY_A}::user::{SIGNINS['U-V1'][3]}", '{"id":"12345"}'),
        ("", '{"id":"12345"}'),
    ],
)
def test_signins_that_must_be_refused(given: str, user_data: str) -> None:
    with pytest.raises(PusherError) as caught:
        auth.verify_signin(APP_A, SOCKET_A, given, user_data)
    assert caught.value.code == CloseCode.UNAUTHORIZED


def test_user_info_stays_as_it_was_spelled() -> None:
    given = r'{"user_id":"u","user_info": {"name": "\u00e9\/\ud83d",  "n":1.0e2}}'
    assert auth.parse_channel_data(APP_A, "presence-a", auth.json_members(given))[1] == (
        r'{"name": "\u00e9\/\ud83d",  "n":1.0e2}'
    )
    assert auth.parse_user_data(r'{"id":"u","user_info":["\udc00"],"watchlist":["\ud800","v"]}') == auth.UserData(
        "u", r'["\udc00"]', ("v",)
    )


def test_half_a_character_is_signed_as_servers_of_javascript_sign_it() -> None:
    app = make_app(KEY_A, "s")
    digest = app.signer.hex('1.2::user::{"id":"u","x":"\ufffd"}'.encode())
    auth.verify_signin(app, "1.2", f"{KEY_A}:{digest}", '{"id":"u","x":"\ud83d"}')


def test_user_data() -> None:
    assert auth.parse_user_data('{"id":"1"}') == auth.UserData("1", "", ())
    found = auth.parse_user_data('{"id":"1","user_info":{"a":1},"watchlist":["u2","u3","u2",4,"",null],"more":1}')
    assert found == auth.UserData("1", '{"a":1}', ("u2", "u3"))
    assert auth.parse_user_data('{"id":"1","watchlist":"u2"}').watchlist == ()


@pytest.mark.parametrize("given", ["", "text", "[]", "{}", '{"id":1}', '{"id":""}', '{"id":null}', '{"user_id":"1"}'])
def test_user_data_that_must_be_refused(given: str) -> None:
    with pytest.raises(PusherError) as caught:
        auth.parse_user_data(given)
    assert caught.value.code == CloseCode.UNAUTHORIZED
