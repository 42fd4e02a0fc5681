"""Redis URLs, and what they are read as."""

from __future__ import annotations

import pytest

from engine.config.redis import RedisOptions, UrlOptionError
from engine.errors import ConfigError
from tests.config.support import loaded


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h", RedisOptions("h")),
        ("redis://h:6380/5", RedisOptions("h", 6380, 5)),
        ("redis://h?db=5", RedisOptions("h", db=5)),
        ("redis://:p%40ss@h/", RedisOptions("h", password="p@ss")),
        ("rediss://u:p@h", RedisOptions("h", username="u", password="p", tls=True)),
        ("redis://[::1]:1", RedisOptions("::1", 1)),
        ("unix:///run/r%20s.sock", RedisOptions(path="/run/r s.sock")),
        ("unix://:p@/run/r.sock?db=2", RedisOptions(path="/run/r.sock", db=2, password="p")),
    ],
)
def test_urls(url: str, expected: RedisOptions) -> None:
    assert RedisOptions.parse(url) == expected


@pytest.mark.parametrize(
    "url", ["", "h", "http://h", "redis://", "unix://", "redis://h:x", "redis://h:70000", "redis://h/a", "redis://h/-1"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError):
        RedisOptions.parse(url)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("ssl_cert_reqs=none", "has ssl_cert_reqs=none; allowed: required. Certificates are always verified"),
        ("ssl_check_hostname=false", "has ssl_check_hostname=false; allowed: true, 1, yes, on."),
        ("max_connections=5", 'has the option "max_connections", which is not known here; known: db, protocol, ssl_'),
        ("protocol=4", "has protocol=4; allowed: 2, 3"),
        ("=x", 'has the option "", which is not known'),
    ],
)
def test_options_of_a_url_that_are_not_done_are_refused_by_name(query: str, told: str) -> None:
    with pytest.raises(UrlOptionError) as caught:
        RedisOptions.parse(f"rediss://h?{query}")
    assert str(caught.value).startswith(told)
    for section in ({"url": f"rediss://h?{query}"}, {"cluster_nodes": [f"rediss://h?{query}"]}):
        with pytest.raises(ConfigError) as refused:
            loaded({"database": {"redis": section}})
        assert told in str(refused.value)


def test_options_of_a_url_that_are_understood() -> None:
    query = (
        "ssl_cert_reqs=required&ssl_check_hostname=true&protocol=3&db=4&ssl_ca_certs=%2Fca&ssl_certfile=c&ssl_keyfile=k"
    )
    assert RedisOptions.parse(f"rediss://h?{query}") == RedisOptions(
        "h", db=4, tls=True, tls_ca_path="/ca", tls_cert_path="c", tls_key_path="k"
    )
    with pytest.raises(UrlOptionError, match="ssl_ca_certs"):
        RedisOptions.parse("redis://h?ssl_ca_certs=/ca")


def test_an_address_for_the_log_holds_no_password() -> None:
    assert RedisOptions.parse("redis://u:hush@h:1/2").address == "redis://h:1/2"
    assert RedisOptions.parse("unix://:hush@/run/r.sock").address == "unix:///run/r.sock"
    assert "hush" not in repr(RedisOptions.parse("redis://u:hush@h"))
