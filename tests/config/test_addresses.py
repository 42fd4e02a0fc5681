"""The server's addresses, as they are shown and as commands use them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.cli.target import api_target, http_url, ws_url
from engine.config.addresses import metrics_url, server_url
from tests.config.support import loaded


@pytest.mark.parametrize(
    ("host", "reached"),
    [
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("10.1.2.3", "10.1.2.3"),
        ("example.org", "example.org"),
    ],
)
def test_the_server_is_reached_where_it_listens(host: str, reached: str) -> None:
    config = loaded({"host": host, "port": 6001, "path_prefix": "/p"}).config
    assert server_url(config, config.port) == http_url(config, None) == f"http://{reached}:6001/p"
    assert ws_url(config, None) == f"ws://{reached}:6001/p"


@pytest.mark.parametrize(
    ("http_api", "given", "target"),
    [
        ({}, None, ("http://127.0.0.1:6001/p", None)),
        ({"port": 6002}, None, ("http://127.0.0.1:6002/p", None)),
        ({"port": 6002, "host": "10.1.2.3"}, None, ("http://10.1.2.3:6002/p", None)),
        ({"unix_socket": "/run/a.sock"}, None, ("http://localhost/p", "/run/a.sock")),
        ({"unix_socket": "/run/a.sock"}, "wss://a.example/q/", ("https://a.example/q", None)),
        ({"port": 6002}, "http://a.example", ("http://a.example", None)),
    ],
)
def test_a_back_end_asks_where_the_api_is_or_where_it_is_told_to(
    http_api: dict[str, Any], given: str | None, target: tuple[str, str | None]
) -> None:
    config = loaded({"host": "127.0.0.1", "port": 6001, "path_prefix": "/p", "http_api": http_api}).config
    assert api_target(config, given) == target


@pytest.mark.parametrize(
    ("metrics", "address"),
    [({"host": "127.0.0.1"}, "127.0.0.1:9601"), ({"host": "::1"}, "[::1]:9601"), ({"host": "::", "port": 1}, "[::]:1")],
)
def test_the_metrics_are_shown_where_they_can_be_asked(metrics: dict[str, Any], address: str) -> None:
    assert metrics_url(loaded({"metrics": metrics}).config) == f"http://{address}/metrics"
