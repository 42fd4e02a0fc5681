"""What a configuration comes to for a number of workers: drivers, the way to Redis, warnings."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from engine._fast.shared_log import MAX_WORKERS
from engine.config.redis import Node, RedisOptions
from engine.config.resolve import SHARED_MEMORY_WORKERS
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


@pytest.mark.parametrize(
    ("document", "workers", "shared"),
    [
        ({}, 2, True),
        ({}, 63, True),
        ({"adapter": {"driver": "redis"}}, 2, True),
        ({}, 64, False),
        ({}, 1, False),
        ({"adapter": {"driver": "redis"}}, 1, False),
        ({"queue": {"driver": "redis"}}, 1, False),
        # Other hosts may be on a Redis that is configured.
        (REDIS, 2, False),
        ({"adapter": {"shared_memory": False}}, 2, False),
    ],
)
def test_events_go_through_shared_memory_where_the_workers_are_the_whole_cluster(
    document: Any, workers: int, shared: bool
) -> None:
    assert loaded(document, workers=workers).resolved.shared_memory is shared


def test_doubtful_drivers_are_warned_of() -> None:
    document = {"queue": {"driver": "memory"}, "rate_limiter": {"driver": "memory"}}
    assert loaded(document, workers=3).warnings == (
        'queue.driver is "memory": webhooks that wait in a worker are lost if it dies',
        'rate_limiter.driver is "memory": each of 3 workers counts for itself',
    )
    assert loaded(document, workers=1).warnings == ()


def test_what_an_address_of_redis_leaves_unused_is_warned_of() -> None:
    redis = {"url": "redis://h:1/3", "password": "hush", "db": 2, "host": "other"}
    assert loaded({"database": {"redis": redis}}).warnings == (
        "database.redis.password is not used: database.redis.url is given, and says all of that",
    )
    assert loaded({"database": {"redis": redis | {"url": "redis://:pw@h"}}}).warnings == (
        "database.redis.db is not used: database.redis.url is given, and says all of that",
    )


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


def test_a_loaded_configuration_travels_to_the_workers_and_cannot_be_changed() -> None:
    found = loaded(hooks(HOOK), workers=2)
    assert pickle.loads(pickle.dumps(found)) == found
    with pytest.raises(ValueError, match="frozen"):
        found.config.port = 1  # type: ignore[misc]
    assert APP["secret"] not in repr(found)


ABC = (Node("a", 1), Node("b", 2), Node("c", 6379))


@pytest.mark.parametrize(
    "document",
    [
        {"database": {"redis": {"cluster_nodes": ["a:1", {"host": "b", "port": 2}, "c"]}}},
        {"database": {"redis": {"cluster_nodes": ["a:1", "a:1", {"host": "b", "port": "2"}, "redis://c"]}}},
        {"database": {"redis": {"cluster_nodes": ["a:1", "b:2", "c"], "host": "127.0.0.1", "port": 6379}}},
        {"database": {"redis": {"cluster": {"nodes": ["a:1", "b:2", "c"]}, "cluster_nodes": []}}},
        {"adapter": {"driver": "redis-cluster", "cluster": {"nodes": ["a:1", "b:2", "c"]}}},
    ],
)
def test_every_way_to_name_a_cluster(document: Any) -> None:
    found = loaded(document).resolved
    assert found.redis == RedisOptions(nodes=ABC)
    assert (found.adapter, found.cache, found.queue, found.rate_limiter) == ("redis",) * 4
    assert found.redis.address == "the Redis Cluster of a:1, b:2, c:6379"


@pytest.mark.parametrize("name", ["REDIS_CLUSTER_NODES", "DATABASE_REDIS_CLUSTER_NODES"])
def test_a_cluster_by_environment(name: str) -> None:
    document = {"database": {"redis": {"username": "u", "password": "single"}}}
    plain = loaded(document, {name: "a:1, b:2,c"}).resolved.redis
    assert plain == RedisOptions(username="u", password="single", nodes=ABC)
    secured = loaded(document, {name: "rediss://a:1,rediss://v:hush@b:2,c"})
    assert "hush" not in repr(secured)
    assert secured.resolved.redis == RedisOptions(username="v", password="hush", tls=True, nodes=ABC)


@pytest.mark.parametrize("wish", [{"driver": "redis-cluster"}, {"redis": {"cluster_mode": "yes"}}])
@pytest.mark.parametrize("part", ["adapter", "cache", "queue", "rate_limiter"])
def test_a_part_that_asks_for_a_cluster_makes_one_of_the_server_that_is_named(part: str, wish: Any) -> None:
    by_host = loaded({part: wish, "database": {"redis": {"host": "h", "port": 7, "password": "p"}}}).resolved
    assert by_host.redis == RedisOptions(password="p", nodes=(Node("h", 7),))
    by_url = loaded({part: wish, "database": {"redis": {"url": "rediss://:q@h:7"}}}).resolved
    assert by_url.redis == RedisOptions(password="q", tls=True, nodes=(Node("h", 7),))
    assert getattr(by_url, part) == "redis"


def test_sentinels() -> None:
    redis: dict[str, Any] = {"sentinels": ["s1", {"host": "s2", "port": 5}], "name": "main"}
    redis |= {"password": "p", "db": 3, "host": "127.0.0.1"}
    found = loaded({"database": {"redis": redis}}, {"DATABASE_REDIS_SENTINEL_PASSWORD": "hush"})
    assert "hush" not in repr(found)
    options = found.resolved.redis
    assert options is not None
    assert (options.sentinels, options.sentinel_password) == ((Node("s1", 26379), Node("s2", 5)), "hush")
    assert (options.name, options.password, options.db) == ("main", "p", 3)
    assert options.address == '"main" of the Sentinels s1:26379, s2:5'
    assert found.resolved.adapter == "redis"


def test_shared_memory_is_for_no_more_workers_than_its_log_keeps_apart() -> None:
    assert SHARED_MEMORY_WORKERS == MAX_WORKERS - 1
