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
        ("null", "null", True),
        ("null", "https://null", False),
        ("null", "file://", False),
        ("file://", "file://", True),
        ("file:///", "file://", True),
        ("FILE://", "file://", True),
        ("file://", "https://file", False),
        ("file://", "null", False),
        ("https://", "https://a.example", False),
        ("capacitor://localhost", "capacitor://localhost", True),
        ("capacitor://localhost", "ionic://localhost", False),
        ("*.example", "null", False),
        ("*.example", "file://", False),
        ("https://bücher.example", "https://xn--bcher-kva.example", True),
        ("BÜCHER.example:8443", "https://xn--bcher-kva.example:8443", True),
        ("*.bücher.example", "https://shop.xn--bcher-kva.example", True),
        ("*.bücher.example", "https://xn--bcher-kva.example", True),
        ("https://*.bücher.example", "http://shop.xn--bcher-kva.example", False),
        ("straße.example", "https://xn--strae-oqa.example", True),
        ("straße.example", "https://strasse.example", False),
        ("例え.jp", "https://xn--r8jz45g.jp", True),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example", True),
        ("https://bücher.example", "https://bucher.example", False),
        ("-ü-.example", "https://xn----eha.example", False),
    ],
)
def test_patterns(pattern: str, origin: str | None, allowed: bool) -> None:
    assert origin_allowed((pattern,), origin) is allowed


def test_no_list_allows_everything() -> None:
    assert origin_allowed((), None)
    assert origin_allowed((), "https://anything")


def test_one_match_is_enough() -> None:
    assert origin_allowed(("b.example", "a.example"), "https://a.example")
