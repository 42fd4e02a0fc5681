"""What the configuration comes to for a number of workers: effective drivers and the way to Redis.

Pure: it opens and starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from engine.config.backends import QueueDriver, RedisConfig
from engine.config.redis import Node, RedisOptions
from engine.config.root import Config

#: One fewer than the log in shared memory has places for (`engine/_fast/shared_log.pyx`): the last one is that of a
#: successor while the worker that it replaces still serves.
SHARED_MEMORY_WORKERS = 63


@dataclass(frozen=True, slots=True)
class Resolved:
    """Drivers with every null decided.

    :param redis_needed: some driver is `redis`.
    :param redis_embedded: Redis is needed and none is configured, so the supervisor starts the private Valkey.
    :param redis: the configured Redis, whether needed or not; None when none is configured.
    :param shared_memory: events between workers go through it: these workers are all that there can be.
    """

    adapter: Literal["local", "redis"]
    cache: Literal["memory", "redis", "none"]
    queue: QueueDriver
    rate_limiter: Literal["memory", "redis"]
    redis: RedisOptions | None
    shared_memory: bool

    @property
    def redis_needed(self) -> bool:
        return "redis" in (self.adapter, self.cache, self.queue, self.rate_limiter)

    @property
    def has_redis(self) -> bool:
        """There is one, of whatever kind."""
        return self.redis is not None or self.redis_embedded

    @property
    def redis_embedded(self) -> bool:
        return self.redis_needed and self.redis is None


def resolve(config: Config, workers: int) -> Resolved:
    """Decide every driver left open: Redis when several workers must share or when one is configured."""
    redis = redis_options(config.database.redis)
    adapter = config.adapter.driver or ("redis" if workers > 1 or redis is not None else "local")
    shared: Literal["memory", "redis"] = "redis" if adapter == "redis" or redis is not None else "memory"
    return Resolved(
        adapter=adapter,
        cache=config.cache.driver or shared,
        queue=config.queue.driver or shared,
        rate_limiter=config.rate_limiter.driver or shared,
        redis=redis,
        shared_memory=(
            config.adapter.shared_memory
            and adapter == "redis"
            and redis is None
            and 1 < workers <= SHARED_MEMORY_WORKERS
        ),
    )


def redis_options(config: RedisConfig) -> RedisOptions | None:
    """The configured Redis; None stands for the embedded one."""
    if config.cluster_nodes:
        return _cluster(config)
    if config.sentinels:
        return replace(
            _single(config, ""),
            sentinels=config.sentinels,
            sentinel_password=config.sentinel_password,
            name=config.name,
        )
    if config.url is not None:
        options = RedisOptions.parse(config.url)
        return _with_certificates(options, config) if options.tls else options
    if config.host is None:
        return None
    return _single(config, config.host)


def _single(config: RedisConfig, host: str) -> RedisOptions:
    options = RedisOptions(host, config.port, config.db, config.username, config.password, config.tls)
    return _with_certificates(options, config) if config.tls else options


def _with_certificates(options: RedisOptions, config: RedisConfig) -> RedisOptions:
    """What a URL says of them wins."""
    return replace(
        options,
        tls_ca_path=options.tls_ca_path or config.tls_ca_path,
        tls_cert_path=options.tls_cert_path or config.tls_cert_path,
        tls_key_path=options.tls_key_path or config.tls_key_path,
    )


def _cluster(config: RedisConfig) -> RedisOptions:
    """What stands in a node's URL wins over the single values."""
    given = config.cluster_nodes
    with_password = next((node for node in given if node.password), config)
    options = RedisOptions(
        username=with_password.username,
        password=with_password.password,
        tls=config.tls or any(node.tls for node in given),
        nodes=tuple(dict.fromkeys(Node(node.host, node.port) for node in given)),
    )
    if not options.tls:
        return options
    of_a_node = next((node for node in given if node.tls_ca_path or node.tls_cert_path), options)
    return _with_certificates(
        replace(
            options,
            tls_ca_path=of_a_node.tls_ca_path,
            tls_cert_path=of_a_node.tls_cert_path,
            tls_key_path=of_a_node.tls_key_path,
        ),
        config,
    )
