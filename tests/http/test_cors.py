"""Cross-origin headers (H-53)."""

from __future__ import annotations

import pytest

from engine.config.server import CorsConfig
from engine.http.cors import Cors

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-Requested-With, Accept",
    "Access-Control-Max-Age": "600",
}
LISTED = CorsConfig(origin=("https://a.example", "https://B.example/"))


@pytest.mark.parametrize("origin", [None, "https://a.example", "null"])
def test_everyone_by_default_but_without_credentials(origin: str | None) -> None:
    cors = Cors(CorsConfig())
    assert dict(cors.headers(origin, "GET")) == {"Access-Control-Allow-Origin": "*"}
    assert dict(cors.headers(origin, "OPTIONS")) == {"Access-Control-Allow-Origin": "*"} | PREFLIGHT


@pytest.mark.parametrize("origin", ["https://a.example", "https://A.example", "https://b.example"])
def test_listed_origins(origin: str) -> None:
    expected = {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Allow-Credentials": "true"}
    assert dict(Cors(LISTED).headers(origin, "GET")) == expected
    assert dict(Cors(LISTED).headers(origin, "OPTIONS")) == expected | PREFLIGHT


@pytest.mark.parametrize("origin", [None, "https://c.example", "http://a.example", "https://a.example.evil"])
def test_other_origins_get_nothing(origin: str | None) -> None:
    assert dict(Cors(LISTED).headers(origin, "OPTIONS")) == {"Vary": "Origin"}


def test_a_wildcard_covers_sub_domains_as_in_an_application() -> None:
    cors = Cors(CorsConfig(origin=("*.a.example",)))
    assert dict(cors.headers("https://b.a.example", "GET"))["Access-Control-Allow-Origin"] == "https://b.a.example"
    assert "Access-Control-Allow-Origin" not in dict(cors.headers("https://ba.example", "GET"))
    assert "Access-Control-Allow-Origin" not in dict(Cors(CorsConfig(origin=())).headers("https://a.example", "GET"))


def test_credentials_can_be_switched_off() -> None:
    cors = Cors(CorsConfig(origin=("https://a.example",), credentials=False))
    assert "Access-Control-Allow-Credentials" not in dict(cors.headers("https://a.example", "GET"))
