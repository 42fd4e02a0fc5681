"""The HTTP API's own address: what cannot be meant, and how its port is reached."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.addresses import api_url
from engine.config.reload import applicable, waits_for_restart
from engine.errors import ConfigError
from tests.config.support import loaded

CASES: list[tuple[dict[str, Any], str]] = [
    ({"http_api": {"unix_socket": "a.sock"}}, 'http_api.unix_socket: "a.sock" is not an absolute path'),
    (
        {"http_api": {"unix_socket": "/run/" + 103 * "a"}},
        f'http_api.unix_socket: "/run/{73 * "a"}… is too long; allowed: 107 bytes',
    ),
    (
        {"http_api": {"unix_socket": "/run/e"}, "unix_socket": {"enabled": True, "path": "/run/e"}},
        'http_api.unix_socket: "/run/e" is that of unix_socket.path; allowed: another one, or null',
    ),
    ({"http_api": {"port": 6001}}, "http_api.port: 6001 is that of port; allowed: another one, or null for none"),
    (
        {"http_api": {"port": 9601}},
        "http_api.port: 9601 is that of metrics.port; allowed: another one, or null for none",
    ),
    ({"metrics": {"port": 6001}}, "metrics.port: 6001 is that of port; allowed: another one"),
    ({"port": 9601, "metrics": {"host": "0.0.0.0"}}, "metrics.port: 9601 is that of port; allowed: another one"),
    (
        {"console": {"port": 9601, "password": 12 * "p"}},
        "console.port: 9601 is that of metrics.port; allowed: another one",
    ),
    ({"http_api": {"port": "http"}}, 'http_api.port: "http" is not a whole number; allowed: 0 to 65535'),
    (
        {"http_api": {"host": "10.0.0.5", "tls": True}},
        'http_api.host: "10.0.0.5" needs http_api.port\nhttp_api.tls: true needs http_api.port',
    ),
    ({"http_api": {"port": 6002, "tls": True}}, "http_api.tls: true needs ssl.enabled"),
]


@pytest.mark.parametrize(("document", "expected"), CASES)
def test_line(document: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(document)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    "document",
    [
        {"http_api": {"port": 6001, "host": "10.0.0.5"}},
        {"http_api": {"port": 9601}, "metrics": {"enabled": False}},
        {"http_api": {"port": 6001}, "unix_socket": {"enabled": True, "path": "/run/e"}},
        {"http_api": {"port": 0}, "port": 0},
        {"console": {"port": 6001}},
        {"metrics": {"port": 6001, "host": "10.0.0.5"}},
        {"metrics": {"port": 6001}, "unix_socket": {"enabled": True, "path": "/run/e"}},
        {"http_api": {"port": 6002, "unix_socket": "/run/e"}},
        {"http_api": {"host": None, "port": None, "unix_socket": None, "tls": None}},
        {"http_api": {"unix_socket": ""}},
    ],
)
def test_what_can_be_meant(document: dict[str, Any]) -> None:
    assert loaded({"host": "127.0.0.1"} | document)


@pytest.mark.parametrize(
    ("api", "url"),
    [
        ({}, "http://127.0.0.1:7"),
        ({"host": "::"}, "http://[::1]:7"),
        ({"host": "10.0.0.5"}, "http://10.0.0.5:7"),
    ],
)
def test_its_url(api: dict[str, Any], url: str) -> None:
    config = loaded({"host": "0.0.0.0", "path_prefix": "chat", "http_api": {"port": 7} | api}).config
    assert api_url(config, 7) == f"{url}/chat"


def test_its_tls_is_that_of_the_main_port_unless_it_says_otherwise() -> None:
    plain = loaded({"http_api": {"port": 7}}).config
    ssl = plain.ssl.model_copy(update={"enabled": True})
    for tls, scheme in ((None, "https"), (True, "https"), (False, "http")):
        api = plain.http_api.model_copy(update={"tls": tls})
        assert api_url(plain.model_copy(update={"ssl": ssl, "http_api": api}), 7).startswith(f"{scheme}://")


def test_a_reload_does_not_change_it() -> None:
    running, new = loaded({}).config, loaded({"http_api": {"port": 7}}).config
    followed = applicable(running, new)
    assert followed.http_api == running.http_api
    assert waits_for_restart(followed, new) == ["http_api.port"]
