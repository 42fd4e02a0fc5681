"""Redis URLs, and what they are read as."""

from __future__ import annotations

import pytest

from engine.config.redis import RedisOptions


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


def test_an_address_for_the_log_holds_no_password() -> None:
    assert RedisOptions.parse("redis://u:hush@h:1/2").address == "redis://h:1/2"
    assert RedisOptions.parse("unix://:hush@/run/r.sock").address == "unix:///run/r.sock"
    assert "hush" not in repr(RedisOptions.parse("redis://u:hush@h"))
