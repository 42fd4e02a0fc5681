"""One spelling for each address, and the networks that hold them."""

from __future__ import annotations

import pytest

from engine.protocol.address import MAX_KNOWN, Networks, canonical, of_peer


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("example.com", None),
        ("", None),
    ],
)
def test_canonical(text: str, address: str | None) -> None:
    assert canonical(text) == address


@pytest.mark.parametrize(
    ("peername", "address"),
    [
        (("192.0.2.1", 80), "192.0.2.1"),
        (("::ffff:192.0.2.1", 80, 0, 0), "192.0.2.1"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::1"),
        ("", ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_of_peer(peername: object, address: str) -> None:
    assert of_peer(peername) == address


def test_networks() -> None:
    networks = Networks(["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"])
    held = ["10.255.0.1", "2001:db8::7", "192.0.2.1"]
    others = ["11.0.0.1", "2001:db9::7", "192.0.2.2", "", "nonsense"]
    for _ in range(2):
        assert [address for address in held + others if networks.hold(address)] == held
    assert networks and not Networks([])


def test_who_comes_by_the_unix_socket_is_trusted_by_name_only() -> None:
    assert Networks(["unix"]).hold("") and not Networks(["unix"]).hold("10.0.0.1")
    assert not Networks(["0.0.0.0/0", "::/0"]).hold("")


def test_what_is_remembered_of_strangers_is_bounded() -> None:
    networks = Networks(["10.0.0.0/8"])
    for n in range(MAX_KNOWN + 10):
        networks.hold(f"192.{n >> 16}.{n >> 8 & 255}.{n & 255}")
    assert len(networks._known) <= MAX_KNOWN
    assert networks.hold("10.0.0.1")
