"""Kinds by prefix and the rules for names."""

from __future__ import annotations

import pytest

from engine.protocol.channel import (
    CONNECTIONS,
    SOCKET_ID,
    ChannelKind,
    channel_kind,
    user_channel,
    user_of,
    valid_channel_name,
    valid_user_id,
)

# name, base, auth, presence, cache, encrypted (N-1)
KINDS = [
    ("room", "public", False, False, False, False),
    ("cache-room", "public", False, False, True, False),
    ("private-room", "private", True, False, False, False),
    ("private-cache-room", "private", True, False, True, False),
    ("private-encrypted-room", "private", True, False, False, True),
    ("private-encrypted-cache-room", "private", True, False, True, True),
    ("presence-room", "presence", True, True, False, False),
    ("presence-cache-room", "presence", True, True, True, False),
    ("#server-to-user-12345", "user", False, False, False, False),
    # N-2: names that others take for what they are not.
    ("my-cache-room", "public", False, False, False, False),
    ("cached", "public", False, False, False, False),
    ("cache", "public", False, False, False, False),
    ("privateer", "public", False, False, False, False),
    ("private", "public", False, False, False, False),
    ("presences", "public", False, False, False, False),
    ("Private-room", "public", False, False, False, False),
    ("xprivate-room", "public", False, False, False, False),
    ("room-private-x", "public", False, False, False, False),
    ("private-my-cache-x", "private", True, False, False, False),
    ("presence-encrypted-x", "presence", True, True, False, False),
    ("cache-private-x", "public", False, False, True, False),
    ("private-presence-x", "private", True, False, False, False),
    ("private-", "private", True, False, False, False),
]


@pytest.mark.parametrize(("name", "base", "auth", "presence", "cache", "encrypted"), KINDS)
def test_kind(name: str, base: str, auth: bool, presence: bool, cache: bool, encrypted: bool) -> None:
    kind = channel_kind(name)
    found = (kind.base, kind.needs_auth, kind.is_presence, kind.is_cache, "encrypted" in kind.types)
    assert found == (base, auth, presence, cache, encrypted)


def test_every_kind_is_found_by_its_own_prefix() -> None:
    assert [channel_kind(f"{kind.prefix}x") for kind in ChannelKind] == list(ChannelKind)


@pytest.mark.parametrize(
    "name", ["a", "A-z_0=9@x,y.z;w", "room:1", "private-encrypted-cache-x", "x" * 200, "App.Models.User.1"]
)
def test_valid_channel_names(name: str) -> None:
    assert valid_channel_name(name, 200)


@pytest.mark.parametrize(
    "name",
    ["", " ", "a b", "a/b", "a\\b", "#a", "#server-to-user-1", CONNECTIONS, "a#b", "ä", "a\n", "\na", "a\x00", "a%20b"],
)
def test_invalid_channel_names(name: str) -> None:
    assert not valid_channel_name(name, 200)


def test_channel_name_length_is_in_characters_with_prefix() -> None:
    assert valid_channel_name("private-" + "x" * 192, 200)
    assert not valid_channel_name("private-" + "x" * 193, 200)
    assert not valid_channel_name("abcde", 4)


@pytest.mark.parametrize("user_id", ["1", "12345", "ada@example.org", "zoë", "a/b", "x" * 200])
def test_user_channels(user_id: str) -> None:
    assert user_of(user_channel(user_id)) == user_id
    assert channel_kind(user_channel(user_id)) is ChannelKind.USER


@pytest.mark.parametrize(
    "name", ["#server-to-user-", "#server-to-user", "#connections", "server-to-user-1", "room", "#server-to-user-a\nb"]
)
def test_other_channels_belong_to_no_user(name: str) -> None:
    assert user_of(name) is None


@pytest.mark.parametrize("user_id", ["", "x" * 201, "a\nb", "a\x00", "\x7f"])
def test_invalid_user_ids(user_id: str) -> None:
    assert not valid_user_id(user_id)


@pytest.mark.parametrize(
    ("socket_id", "valid"),
    [
        ("123.456", True),
        ("0.0", True),
        ("123456789.987654321", True),
        ("", False),
        ("123", False),
        ("1.2.3", False),
        ("1.", False),
        (".1", False),
        ("a.b", False),
        ("1.2\n", False),
        (" 1.2", False),
        ("-1.2", False),
        ("١.٢", False),
    ],
)
def test_socket_ids(socket_id: str, valid: bool) -> None:
    assert (SOCKET_ID.match(socket_id) is not None) is valid
