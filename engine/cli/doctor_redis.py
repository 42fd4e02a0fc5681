"""What `doctor` asks of Redis: version, role, rights, clock, latency, and what it does when memory is short.

Tries what workers try, on keys that are nobody else's, and publishes to a channel of its own; never touches other keys.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import redis
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from engine.cli.finding import Finding
from engine.config.redis import TAG, RedisOptions
from engine.errors import StoreUnavailable
from engine.redis.pool import blocking, connect
from engine.redis.suitability import Ground, Suitability

TIMEOUT_S = 3.0
PINGS = 20
SLOW_MS, TOO_SLOW_MS = 5.0, 50.0
SKEW_S = 5.0
#: Bytes that may wait for a worker which reads its subscriptions late, before Redis cuts it off.
BUFFER_BYTES = 32 * 1024 * 1024
#: Oldest versions: of one server, of a cluster (docs/redis.md); Valkey calls itself 7.2.4 there.
OLDEST, OLDEST_CLUSTER = (6, 2), (7, 0)

_CHECK = "redis"
#: Words of an error, and what to do then.
_REMEDIES = (
    (("MOVED",), "it is a node of a Redis Cluster: name its nodes in database.redis.cluster_nodes"),
    (("CLUSTERDOWN",), "some slots have no primary (CLUSTER NODES)"),
    (("Cluster mode is not enabled",), "it is one server: database.redis.host and port, not cluster_nodes"),
    (("NOREPLICAS",), "its replicas are away (INFO replication), or min-replicas-to-write asks for too many"),
    (("OOM",), "raise its maxmemory, or look for what fills it (INFO memory)"),
    (("MISCONF",), "it cannot save: a full disk, or a folder that it may not write to (its own log)"),
    (("DB index",), "database.redis.db: the server has fewer databases"),
    (("no master", "No master"), "database.redis.name, and what the Sentinels say (SENTINEL MASTERS)"),
)


def ask(options: RedisOptions, ground: Ground, *, queue: bool) -> Iterator[Finding]:
    """:param ground: where the engine's names are. :param queue: webhooks wait there."""
    try:
        with blocking(options, TIMEOUT_S) as client:
            client.ping()
            yield asyncio.run(_proof(options, ground))
            yield _carries(client, f"{ground.topics}doctor", sharded=bool(options.nodes))
            for name, server in _servers(client, options):
                for finding in _server(server, cluster=bool(options.nodes), queue=queue):
                    yield replace(finding, message=f"{name}: {finding.message}") if name else finding
    except AuthenticationError as error:
        said = f"{options.address}: {error}"
        remedy = "check user name and password (ACL GETUSER)"
        if options.password is None:
            said, remedy = f"{options.address} wants a password, and none is configured", "database.redis.password"
        yield Finding("problem", _CHECK, said, remedy)
    except (RedisError, OSError) as error:
        yield Finding("problem", _CHECK, f"{options.address} does not serve: {error}", _remedy(str(error)))


async def _proof(options: RedisOptions, ground: Ground) -> Finding:
    """What a worker tries before it changes anything."""
    client = connect(options)
    try:
        missing, _ = await Suitability(client, ground, clustered=bool(options.nodes)).look()
    except StoreUnavailable as error:
        return Finding("problem", _CHECK, f"it cannot be written to: {error}", _remedy(str(error)))
    finally:
        await client.aclose()
    if not missing:
        return Finding("ok", _CHECK, "does all that the engine asks of it")
    keys = " ".join(f"~{prefix}*" for prefix in dict.fromkeys((ground.state.removesuffix(TAG), *ground.others)))
    remedy = f"ACL SETUSER … {keys} &{ground.topics}* +@all -@admin -@dangerous +info (docs/redis.md)"
    return Finding("problem", _CHECK, missing, remedy if "user may not" in missing else "docs/redis.md")


def _carries(client: Any, topic: str, *, sharded: bool) -> Finding:
    """Whether what is published is heard. Raises RedisError."""
    try:
        with client.pubsub(ignore_subscribe_messages=True) as heard:
            subscribe, get, publish = (
                (heard.ssubscribe, heard.get_sharded_message, client.spublish)
                if sharded
                else (heard.subscribe, heard.get_message, client.publish)
            )
            subscribe(topic)
            # The answer to the subscription, which is passed over.
            get(timeout=TIMEOUT_S)
            publish(topic, "")
            message = get(timeout=TIMEOUT_S)
    except ResponseError as error:
        remedy = f"ACL SETUSER … &{topic.removesuffix('doctor')}* +@pubsub (docs/redis.md)"
        return Finding("problem", _CHECK, f"it carries no events between workers: {error}", remedy)
    if message is None:
        remedy = "two servers behind one address, or something between that keeps messages back"
        return Finding("problem", _CHECK, "what is published is not heard", remedy)
    return Finding("ok", _CHECK, "carries events between workers")


def _remedy(error: str) -> str:
    """For what a server says, or a connection to it; the first that fits."""
    for words, remedy in _REMEDIES:
        if any(word in error for word in words):
            return remedy
    return "is it running, is the address right, does a firewall let this machine through, does it want TLS, or none?"


def _servers(client: Any, options: RedisOptions) -> list[tuple[str, Any]]:
    """Each with its name, where there are several."""
    if not options.nodes:
        return [("", client)]
    return [(node.name, client.get_redis_connection(node)) for node in client.get_primaries()]


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
    if info.get("cluster_enabled") and not cluster:
        remedy = "name its nodes in database.redis.cluster_nodes"
        yield Finding("problem", _CHECK, "it is a node of a Redis Cluster, configured as one server", remedy)
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
