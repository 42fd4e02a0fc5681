"""Whose request it is, behind proxies."""

from __future__ import annotations

import pytest

from engine.protocol.address import caller_address


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "hops", "address"),
    [
        ("192.0.2.1", [], 0, "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.1"], 0, "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.1"], 1, "198.51.100.1"),
        ("192.0.2.1", ["203.0.113.9, 198.51.100.1"], 1, "198.51.100.1"),
        ("192.0.2.1", ["203.0.113.9, 198.51.100.1"], 2, "203.0.113.9"),
        ("192.0.2.1", ["203.0.113.9", "198.51.100.1"], 2, "203.0.113.9"),
        ("192.0.2.1", ["forged, 203.0.113.9", "198.51.100.1"], 2, "203.0.113.9"),
        ("192.0.2.1", ["198.51.100.1"], 2, "192.0.2.1"),
        ("192.0.2.1", ["forged"], 1, "192.0.2.1"),
        ("192.0.2.1", [""], 1, "192.0.2.1"),
        ("192.0.2.1", ["2001:DB8::1"], 1, "2001:db8::1"),
        (None, [], 0, ""),
        ("", ["198.51.100.1"], 1, "198.51.100.1"),
        (None, ["x"], 1, ""),
    ],
)
def test_caller_address(peer: str | None, forwarded_for: list[str], hops: int, address: str) -> None:
    assert caller_address(peer, forwarded_for, hops) == address
