"""What `doctor` asks of Redis: version, role, rights, clock, latency, and what it does when memory is short.

Writes one key that lives for a second and publishes to a channel that nobody listens to; never touches other keys.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError, ResponseError

from engine.cli.finding import Finding
from engine.config.redis import RedisOptions
from engine.redis.pool import blocking

TIMEOUT_S = 3.0
PINGS = 20
SLOW_MS, TOO_SLOW_MS = 5.0, 50.0
SKEW_S = 5.0
#: Bytes that may wait for a worker which reads its subscriptions late, before Redis cuts it off.
BUFFER_BYTES = 32 * 1024 * 1024
#: Oldest versions: of one server, of a cluster (docs/redis.md); Valkey calls itself 7.2.4 there.
OLDEST, OLDEST_CLUSTER = (6, 2), (7, 0)

_CHECK = "redis"


def ask(options: RedisOptions, prefix: str, *, queue: bool) -> Iterator[Finding]:
    """:param prefix: of the engine's keys. :param queue: webhooks wait there."""
    try:
        with blocking(options, TIMEOUT_S) as client:
            yield from _rights(client, prefix)
            for server in _servers(client, options):
                yield from _server(server, cluster=bool(options.nodes), queue=queue)
    except AuthenticationError as error:
        yield Finding("problem", _CHECK, f"{options.address}: {error}", "check user name and password (ACL GETUSER)")
    except (RedisError, OSError) as error:
        remedy = "is it running, is the address right, does a firewall let this machine through, does it want TLS?"
        yield Finding("problem", _CHECK, f"{options.address} does not answer: {error}", remedy)


def _servers(client: Any, options: RedisOptions) -> list[Any]:
    if not options.nodes:
        return [client]
    return [client.get_redis_connection(node) for node in client.get_primaries()]


def _rights(client: redis.Redis, prefix: str) -> Iterator[Finding]:
    key = f"{prefix}doctor"
    script = "return redis.call('SET', KEYS[1], '1', 'PX', 1000)"
    tried: dict[str, Callable[[], object]] = {
        "run scripts on its keys": lambda: client.eval(script, 1, key),
        "publish": lambda: client.publish(key, ""),
    }
    for what, attempt in tried.items():
        try:
            attempt()
        except NoPermissionError as error:
            remedy = f"ACL SETUSER … ~{prefix}* &{prefix}* +@all -@dangerous +info (docs/redis.md)"
            yield Finding("problem", _CHECK, f"this user may not {what}: {error}", remedy)
        except ResponseError as error:
            yield Finding("problem", _CHECK, f"it did not {what}: {error}", "a replica or a full server refuses writes")
        else:
            yield Finding("ok", _CHECK, f"may {what}")


def _server(server: redis.Redis, *, cluster: bool, queue: bool) -> Iterator[Finding]:
    took = []
    for _ in range(PINGS):
        begun = time.perf_counter()
        server.ping()
        took.append((time.perf_counter() - begun) * 1000)
    yield _latency(statistics.median(took))
    seconds, microseconds = server.time()
    yield _clock(float(seconds) + microseconds / 1e6 - time.time())
    try:
        info: dict[str, Any] = server.info()
    except ResponseError as error:
        yield Finding("warning", _CHECK, f"it does not say how it is set up: {error}", "+info in the user's rights")
        return
    yield from judge(info, cluster=cluster, queue=queue)
    yield from _buffers(server)


def judge(info: dict[str, Any], *, cluster: bool, queue: bool) -> Iterator[Finding]:
    """By what a server says of itself (INFO)."""
    version = str(info.get("redis_version", "0"))
    oldest = OLDEST_CLUSTER if cluster else OLDEST
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < oldest:
        needed = ".".join(map(str, oldest))
        yield Finding("problem", _CHECK, f"version {version} is too old", f"{needed} or newer, or Valkey 7.2 or newer")
    else:
        name = "Valkey" if "valkey_version" in info else "Redis"
        yield Finding("ok", _CHECK, f"{name} {info.get('valkey_version', version)}")
    if info.get("role") == "slave":
        remedy = "name the master, or configure database.redis.sentinels"
        yield Finding("problem", _CHECK, "it is a replica, which takes no writes", remedy)
    limit, policy = int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "noeviction"))
    if limit and policy != "noeviction":
        text = f"it forgets keys when {limit // 2**20} MiB are full ({policy}): members and waiting webhooks among them"
        yield Finding("problem", _CHECK, text, "CONFIG SET maxmemory-policy noeviction")
    if limit and int(info.get("used_memory", 0)) > 0.9 * limit:
        yield Finding("problem", _CHECK, f"its {limit // 2**20} MiB are nearly full", "raise maxmemory")
    if not queue:
        return
    if info.get("aof_enabled"):
        yield Finding("ok", _CHECK, "webhooks that wait survive its restart (appendonly)")
    else:
        text = "webhooks that wait are lost, or those since the last snapshot, when it is started again"
        yield Finding("warning", _CHECK, text, "CONFIG SET appendonly yes")


def _latency(median_ms: float) -> Finding:
    text = f"it answers in {median_ms:.1f} ms"
    if median_ms < SLOW_MS:
        return Finding("ok", _CHECK, text)
    remedy = (
        "every publish between nodes and every join waits for it: same zone, no swapping, no slow commands (SLOWLOG)"
    )
    return Finding("problem" if median_ms >= TOO_SLOW_MS else "warning", _CHECK, text, remedy)


def _clock(ahead_s: float) -> Finding:
    if abs(ahead_s) < SKEW_S:
        return Finding("ok", "clock", "agrees with that of Redis")
    text = f"that of Redis is {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}"
    return Finding("warning", "clock", text, "run chrony or systemd-timesyncd on both machines")


def _buffers(server: redis.Redis) -> Iterator[Finding]:
    try:
        words = str(server.config_get("client-output-buffer-limit").get("client-output-buffer-limit", "")).split()
    except ResponseError:
        return  # managed servers keep it to themselves
    if "pubsub" not in words:
        return
    hard = int(words[words.index("pubsub") + 1])
    if 0 < hard < BUFFER_BYTES:
        text = f"a worker that has {hard // 2**10} KiB of events to read is cut off"
        remedy = 'CONFIG SET client-output-buffer-limit "pubsub 33554432 8388608 60", or more'
        yield Finding("warning", _CHECK, text, remedy)
