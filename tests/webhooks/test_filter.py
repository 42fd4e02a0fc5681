"""Which endpoint wants which event (W-21, W-22, D-2)."""

from __future__ import annotations

import re

import pytest

from engine.app import Filter
from engine.webhooks.filter import MEMBER_EVENTS, OCCUPANCY_EVENTS, may_want, wants
from tests.webhooks.making import make_app, make_endpoint


@pytest.mark.parametrize(
    ("channel", "types"),
    [
        ("room", {"public"}),
        ("cache-room", {"public", "cache"}),
        ("private-room", {"private"}),
        ("private-cache-room", {"private", "cache"}),
        ("private-encrypted-room", {"private", "encrypted"}),
        ("private-encrypted-cache-room", {"private", "encrypted", "cache"}),
        ("presence-room", {"presence"}),
        ("presence-cache-room", {"presence", "cache"}),
        # N-2: a prefix counts at the start only, and whole.
        ("my-cache-room", {"public"}),
        ("privateer", {"public"}),
        ("presences", {"public"}),
        ("Private-room", {"public"}),
        ("presence-private-room", {"presence"}),
    ],
)
def test_channel_types(channel: str, types: set[str]) -> None:
    every = ("public", "private", "presence", "encrypted", "cache")
    endpoints = {kind: make_endpoint(filter=Filter(channel_type=kind)) for kind in every}
    assert {kind for kind in every if wants(endpoints[kind], "channel_occupied", channel)} == types


@pytest.mark.parametrize(
    ("rule", "passes", "stops"),
    [
        (Filter(), ["room", "presence-x", ""], ["#server-to-user-1"]),
        (Filter(channel_type="public"), ["room", "cache-room"], ["private-room", "presence-room", ""]),
        (
            Filter(channel_type="private"),
            ["private-room", "private-encrypted-room", "private-cache-room"],
            ["presence-room", "room"],
        ),
        (Filter(channel_type="presence"), ["presence-room", "presence-cache-room"], ["presences", "room"]),
        (Filter(channel_type="encrypted"), ["private-encrypted-x", "private-encrypted-cache-x"], ["private-x"]),
        (Filter(channel_type="cache"), ["cache-x", "presence-cache-x"], ["presence-x", "my-cache-x"]),
        (Filter(channel_prefix="chat-"), ["chat-1"], ["private-chat-1", "a-chat-1", ""]),
        # A type combined with what follows its own prefix, and the same with the whole name.
        (
            Filter(channel_type="presence", channel_prefix="admin-"),
            ["presence-admin-1", "presence-cache-admin-1"],
            ["admin-1", "private-admin-1", "presence-a-admin-1", "presence-room"],
        ),
        (Filter(channel_type="presence", channel_prefix="presence-admin-"), ["presence-admin-1"], ["presence-x"]),
        (
            Filter(channel_type="encrypted", channel_prefix="admin-"),
            ["private-encrypted-admin-1", "private-encrypted-cache-admin-1"],
            ["private-admin-1", "private-encrypted-x-admin-"],
        ),
        (Filter(channel_type="cache", channel_prefix="a-"), ["cache-a-1", "private-cache-a-1"], ["a-cache-1"]),
        (Filter(channel_type="public", channel_prefix="chat-"), ["chat-1", "cache-chat-1"], ["x-chat-1"]),
        (Filter(channel_suffix="-log"), ["a-log"], ["a-log-1", ""]),
        (Filter(channel_pattern=re.compile(r"\d{2}")), ["room-42-x"], ["room-4", ""]),
        (Filter(channel_pattern=re.compile("")), ["room"], [""]),
        (
            # The part before the first colon, behind the type's prefix; without a colon there is none.
            Filter(channel_namespaces=frozenset({"chat", "news"})),
            ["chat:1", "private-chat:1", "presence-cache-chat:1:2", "private-encrypted-news:"],
            ["chat", "private-chat", "chat-1:x", "x:chat:1", ":chat", "", "presence-x"],
        ),
        (Filter(channel_namespaces=frozenset()), [], ["room", ":x", "a:b", ""]),
        (
            Filter(channel_prefix="a", channel_suffix="z", channel_pattern=re.compile("m")),
            ["amz"],
            ["am", "mz", "az"],
        ),
    ],
)
def test_channel_filters(rule: Filter, passes: list[str], stops: list[str]) -> None:
    endpoint = make_endpoint(filter=rule)
    for channel in passes:
        assert wants(endpoint, "channel_occupied", channel), channel
    for channel in stops:
        assert not wants(endpoint, "channel_occupied", channel), channel


def test_only_the_event_types_asked_for() -> None:
    endpoint = make_endpoint(event_types=frozenset({"member_added"}))
    assert wants(endpoint, "member_added", "presence-x")
    assert not wants(endpoint, "member_removed", "presence-x")


def test_event_prefix_is_about_client_events_only() -> None:
    endpoint = make_endpoint(filter=Filter(event_prefix="client-chat"))
    assert wants(endpoint, "client_event", "private-x", "client-chat-1")
    assert not wants(endpoint, "client_event", "private-x", "client-typing")
    assert wants(endpoint, "channel_occupied", "private-x")


def test_wants() -> None:
    app = make_app(
        make_endpoint("e1", event_types=frozenset({"channel_vacated"}), filter=Filter(channel_prefix="chat-")),
        make_endpoint("e2", event_types=frozenset({"member_added"}), filter=Filter(channel_type="presence")),
    )
    assert may_want(app, OCCUPANCY_EVENTS, "chat-1")
    assert not may_want(app, OCCUPANCY_EVENTS, "presence-1")
    assert not may_want(app, MEMBER_EVENTS, "chat-1")
    assert may_want(app, MEMBER_EVENTS, "presence-1")
    assert not may_want(make_app(make_endpoint()), OCCUPANCY_EVENTS, "#server-to-user-1")
    assert not may_want(make_app(), OCCUPANCY_EVENTS, "chat-1")
