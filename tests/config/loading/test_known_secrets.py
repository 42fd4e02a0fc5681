"""A secret that everybody knows keeps the server to its own machine, or is told."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.loading.known_secrets import KNOWN, MAKE_ONE
from tests.config.support import apps, loaded


def _hosts(document: dict[str, Any]) -> tuple[str, str]:
    config = loaded(document).config
    return config.host, config.metrics.host


@pytest.mark.parametrize("secret", sorted(KNOWN))
def test_without_an_address_it_listens_to_its_own_machine(secret: str) -> None:
    document = apps({"secret": "own", "id": "a", "key": "a"}, {"secret": secret, "id": "b", "key": "b"})
    assert _hosts(document) == ("127.0.0.1", "127.0.0.1")
    assert loaded(document).warnings == (
        "application b has a secret that everybody knows: listening on 127.0.0.1 only, unless host says otherwise; "
        + MAKE_ONE,
    )


def test_with_a_secret_of_its_own_it_listens_to_everybody() -> None:
    found = loaded(apps({"secret": "own"}))
    assert (found.config.host, found.config.metrics.host, found.warnings) == ("0.0.0.0", "0.0.0.0", ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "chat.example"])
def test_an_address_that_is_named_is_used_and_told_of(host: str) -> None:
    found = loaded(apps({"secret": "app-secret"}) | {"host": host})
    assert (found.config.host, found.config.metrics.host) == (host, host)
    assert found.warnings == (
        f"application 1 has a secret that everybody knows, and host lets all that reach {host} use it; {MAKE_ONE}",
    )


def test_nothing_is_told_where_nobody_else_can_come() -> None:
    known = apps({"secret": "app-secret"})
    for host in ("127.0.0.1", "127.0.0.53", "::1", "localhost"):
        assert loaded(known | {"host": host}).warnings == ()
    unix = {"unix_socket": {"enabled": True, "path": "/run/e.sock"}}
    assert loaded(known | unix).warnings == ()
    assert loaded(known | unix | {"http_api": {"port": 6002, "host": "127.0.0.1"}, "host": "::1"}).warnings == ()


@pytest.mark.parametrize("document", [{"host": "127.0.0.1"}, {"unix_socket": {"enabled": True, "path": "/run/e.sock"}}])
def test_an_address_of_the_api_is_one_too(document: dict[str, Any]) -> None:
    (warning,) = loaded(apps({"secret": "app-secret"}) | document | {"http_api": {"port": 6002, "host": "::"}}).warnings
    assert "http_api.host lets all that reach :: use it" in warning
    own = {"host": "10.0.0.5", "unix_socket": {"enabled": True, "path": "/run/e.sock"}, "http_api": {"port": 6002}}
    (warning,) = loaded(apps({"secret": "app-secret"}) | own).warnings
    assert "host lets all that reach 10.0.0.5 use it" in warning


def test_the_metrics_may_have_an_address_of_their_own() -> None:
    assert _hosts(apps({"secret": "app-secret"}) | {"metrics": {"host": "10.0.0.5"}}) == ("127.0.0.1", "10.0.0.5")
    assert _hosts(apps({}) | {"host": "10.0.0.5", "metrics": {"host": None}}) == ("10.0.0.5", "10.0.0.5")
