"""Allowed origins (C-33)."""

from __future__ import annotations

import pytest

from engine.protocol.origin import origin_allowed


@pytest.mark.parametrize(
    ("pattern", "origin", "allowed"),
    [
        ("https://a.example", "https://a.example", True),
        ("https://a.example", "HTTPS://A.Example", True),
        ("https://A.example/", "https://a.example", True),
        ("https://a.example", "http://a.example", False),
        ("https://a.example", "https://a.example:8443", False),
        ("https://a.example", "https://b.a.example", False),
        ("https://a.example", "https://a.example.evil", False),
        ("a.example", "https://a.example", True),
        ("a.example", "http://a.example", True),
        ("a.example", "http://a.example:81", False),
        ("a.example", "http://evil-a.example", False),
        ("localhost:3000", "http://localhost:3000", True),
        ("localhost:3000", "http://localhost", False),
        ("*.example", "https://a.b.example", True),
        ("*.example", "https://example", True),
        ("*.a.example", "https://b.a.example", True),
        ("*.a.example", "https://eviла.example", False),
        ("*.a.example", "https://evila.example", False),
        ("https://*.a.example", "https://b.a.example", True),
        ("https://*.a.example", "http://b.a.example", False),
        ("*", "https://anything", True),
        ("*", None, True),
        ("a.example", None, False),
        ("a.example", "", False),
        ("a.example", "null", False),
    ],
)
def test_patterns(pattern: str, origin: str | None, allowed: bool) -> None:
    assert origin_allowed((pattern,), origin) is allowed


def test_no_list_allows_everything() -> None:
    assert origin_allowed((), None)
    assert origin_allowed((), "https://anything")


def test_one_match_is_enough() -> None:
    assert origin_allowed(("b.example", "a.example"), "https://a.example")
