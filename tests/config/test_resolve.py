"""What a configuration comes to for a number of workers: drivers, the way to Redis, warnings."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from tests.config.support import APP, HOOK, hooks, loaded

REDIS = {"database": {"redis": {"host": "r"}}}


@pytest.mark.parametrize(
    ("document", "workers", "drivers", "needed", "embedded"),
    [
        ({}, 1, ("local", "memory", "memory", "memory"), False, False),
        ({}, 2, ("redis", "redis", "redis", "redis"), True, True),
        (REDIS, 1, ("redis", "redis", "redis", "redis"), True, False),
        ({"database": {"redis": {"url": "redis://r"}}}, 4, ("redis", "redis", "redis", "redis"), True, False),
        ({"adapter": {"driver": "redis"}}, 1, ("redis", "redis", "redis", "redis"), True, True),
        ({"queue": {"driver": "redis"}}, 1, ("local", "memory", "redis", "memory"), True, True),
        (REDIS | {"adapter": {"driver": "local"}}, 1, ("local", "redis", "redis", "redis"), True, False),
        (
            {"cache": {"driver": "none"}, "queue": {"driver": "memory"}, "rate_limiter": {"driver": "local"}},
            2,
            ("redis", "none", "memory", "memory"),
            True,
            True,
        ),
    ],
)
def test_effective_drivers(document: Any, workers: int, drivers: tuple[str, ...], needed: bool, embedded: bool) -> None:
    found = loaded(document, workers=workers).resolved
    assert (found.adapter, found.cache, found.queue, found.rate_limiter) == drivers
    assert (found.redis_needed, found.redis_embedded) == (needed, embedded)


def test_doubtful_drivers_are_warned_of() -> None:
    document = {"queue": {"driver": "memory"}, "rate_limiter": {"driver": "memory"}}
    assert loaded(document, workers=3).warnings == (
        'queue.driver is "memory": webhooks that wait in a worker are lost if it dies',
        'rate_limiter.driver is "memory": each of 3 workers counts for itself',
    )
    assert loaded(document, workers=1).warnings == ()


def test_single_values_make_the_redis() -> None:
    redis = {"host": "::1", "port": "6390", "db": "2", "username": "u", "password": "hush", "tls": "yes"}
    all_of_it = loaded({"database": {"redis": redis}, "ssl": {"passphrase": "hush"}})
    assert "hush" not in repr(all_of_it)
    found = all_of_it.resolved.redis
    assert found is not None
    assert (found.host, found.port, found.db, found.username, found.password, found.tls) == (
        "::1", 6390, 2, "u", "hush", True,
    )  # fmt: skip
    assert found.address == "rediss://[::1]:6390/2"


def test_the_url_wins_over_single_values() -> None:
    found = loaded(REDIS, {"REDIS_URL": "unix:///run/r.sock?db=4"}).resolved.redis
    assert found is not None and (found.path, found.db) == ("/run/r.sock", 4)


def test_tls_with_readable_files(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).touch()
    ssl = {"enabled": True, "cert_path": str(tmp_path / "cert.pem"), "key_path": str(tmp_path / "key.pem")}
    assert loaded({"ssl": ssl}).config.ssl.enabled


def test_a_loaded_configuration_travels_to_the_workers_and_cannot_be_changed() -> None:
    found = loaded(hooks(HOOK), workers=2)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(ValueError, match="frozen"):
        found.config.port = 1  # type: ignore[misc]
    assert APP["secret"] not in repr(found)
