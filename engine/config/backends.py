"""Sections about what workers share: the adapter, Redis, the cache and the webhook queue.

Values only: which driver a null stands for is decided in `resolve.py`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import BeforeValidator, Field

from engine.config.base import (
    Flag,
    Host,
    OptionalText,
    Port,
    Prefix,
    Region,
    Section,
    http_url,
    listed,
    text,
    whole,
    word,
)
from engine.config.databases import DynamoDbConfig, MySqlConfig, PostgresConfig, SqliteConfig
from engine.config.redis import ClusterNode, RedisUrl, SentinelPlace


class AdapterRedis(Section):
    """:param prefix: start of every pub/sub channel's name."""

    prefix: Prefix = "sockudo_adapter:"


class ClusterHealth(Section):
    """How a worker that died without a word is noticed.

    :param heartbeat_interval_ms: between two signs of life of a worker.
    :param node_timeout_ms: silence after which a worker counts as dead.
    """

    heartbeat_interval_ms: Annotated[int, whole(100, 600_000)] = 1_000
    node_timeout_ms: Annotated[int, whole(500, 3_600_000)] = 10_000


class AdapterConfig(Section):
    """:param driver: how events reach the other workers and nodes; null is redis where there is more than one worker or
        a Redis is named, else local.
    :param fallback_to_local: deliver a publish to this worker's own clients when Redis is gone, instead of 503.
    :param shared_memory: with the embedded Valkey, events go from worker to worker through memory that they share.
    """

    driver: (
        Annotated[
            Literal["local", "redis"],
            word(
                "local",
                "redis",
                elsewhere=("cluster", "nats", "pulsar", "rabbitmq", "google-pubsub", "kafka", "iggy"),
            ),
        ]
        | None
    ) = None
    fallback_to_local: Flag = True
    shared_memory: Flag = True
    redis: AdapterRedis = Field(default_factory=AdapterRedis)
    cluster_health: ClusterHealth = Field(default_factory=ClusterHealth)


class EmbeddedRedis(Section):
    """The private Valkey that the engine starts when it needs Redis and none is configured.

    :param data_dir: where it keeps what must survive a restart; relative to the working directory.
    """

    data_dir: Annotated[str, text(r".+", "a path")] = "data"


class RedisConfig(Section):
    """The one Redis (or Valkey) that every part uses. `url` wins over host and port; of a cluster or of Sentinels these
    two mean nothing, and the other values hold for each of their servers.

    :param host: null, with nothing else that names a server, means the embedded Valkey.
    :param cluster_nodes: some nodes of a Redis Cluster; each is text `host:port`, an object with `host` and `port`, or
        an address as of `url`.
    :param sentinels: Sentinels, which know where the server called `name` is; each is text `host:port` or an object.
    :param name: what the Sentinels call the server.
    :param username: :param password: for the server. :param sentinel_password: for the Sentinels.
    :param tls: encrypted, with the server's certificate and name verified; `rediss://` says the same.
    :param tls_ca_path: certificates (PEM) to trust instead of the system's.
    :param tls_cert_path: our own certificate, for a server that asks for one; its key is in `tls_key_path`.
    :param key_prefix: start of every key of the shared state.
    """

    url: RedisUrl | None = Field(default=None, repr=False)
    host: Host | None = None
    port: Port = 6379
    db: Annotated[int, whole(0, 1_000_000)] = 0
    username: OptionalText = None
    password: OptionalText = Field(default=None, repr=False)
    tls: Flag = False
    tls_ca_path: OptionalText = None
    tls_cert_path: OptionalText = None
    tls_key_path: OptionalText = None
    key_prefix: Prefix = "sockudo:"
    cluster_nodes: Annotated[tuple[ClusterNode, ...], listed(split=True)] = ()
    sentinels: Annotated[tuple[SentinelPlace, ...], listed(split=True)] = ()
    sentinel_password: OptionalText = Field(default=None, repr=False)
    name: Annotated[str, text(r"[A-Za-z0-9._-]+", "letters, digits or . _ -")] = "mymaster"
    embedded: EmbeddedRedis = Field(default_factory=EmbeddedRedis)


class DatabaseConfig(Section):
    redis: RedisConfig = Field(default_factory=RedisConfig)
    mysql: MySqlConfig = Field(default_factory=MySqlConfig)
    postgres: PostgresConfig = Field(default_factory=PostgresConfig)
    sqlite: SqliteConfig = Field(default_factory=SqliteConfig)
    dynamodb: DynamoDbConfig = Field(default_factory=DynamoDbConfig)


class CacheRedis(Section):
    prefix: Prefix = "sockudo_cache:"


class CacheMemory(Section):
    """:param max_capacity: channels remembered in one process; the oldest goes first."""

    max_capacity: Annotated[int, whole(1, 100_000_000)] = 10_000


class CacheConfig(Section):
    """Where the last events of cache channels are kept.

    :param driver: `none` keeps none; null is redis where the workers share one, else memory.
    """

    driver: Annotated[Literal["memory", "redis", "none"], word("memory", "redis", "none")] | None = None
    redis: CacheRedis = Field(default_factory=CacheRedis)
    memory: CacheMemory = Field(default_factory=CacheMemory)


class QueueRedis(Section):
    """:param concurrency: webhook requests at one time to one endpoint, whatever the queue's driver.
    :param prefix: start of the queue's keys; `<prefix>default` waits, `<prefix>failed` are the dead letters (W-33)."""

    concurrency: Annotated[int, whole(1, 1_000)] = 5
    prefix: Prefix = "sockudo_queue:"


class QueueSqs(Section):
    """:param queue_url_prefix: of the queues' addresses; `default` (`default.fifo`) and `failed` follow it. Without one
        they are found by their names in the account that the credentials belong to.
    :param visibility_timeout: seconds after which jobs of a worker that died come again (W-35).
    :param wait_time_seconds: how long one look waits for messages.
    :param concurrency: webhook requests at one time to one endpoint.
    :param message_group_id: start of each endpoint's message group in a FIFO queue.
    """

    library: ClassVar = ("aiobotocore", "aws")
    region: Region = "us-east-1"
    queue_url_prefix: Annotated[str, BeforeValidator(http_url)] | None = None
    visibility_timeout: Annotated[int, whole(1, 43_200)] = 30
    endpoint_url: Annotated[str, BeforeValidator(http_url)] | None = None
    max_messages: Annotated[int, whole(1, 10)] = 10
    wait_time_seconds: Annotated[int, whole(0, 20)] = 5
    concurrency: Annotated[int, whole(1, 1_000)] = 5
    fifo: Flag = False
    message_group_id: Annotated[str, text(r"[A-Za-z0-9_.:-]{1,80}", "1 to 80 letters, digits or _ . : -")] = "default"


QueueDriver = Literal["memory", "redis", "sqs"]


class QueueConfig(Section):
    """Where webhook jobs wait for delivery. A driver's section has its name.

    :param driver: null is redis where the workers share one, else memory.
    :cvar library: of a driver's section, if it needs one: a module, and the extra of our package that brings it.
    """

    driver: (
        Annotated[
            QueueDriver,
            word(
                *get_args(QueueDriver),
                elsewhere=("none", "sync", "sns", "nats", "kafka", "rabbitmq", "pulsar", "iggy"),
            ),
        ]
        | None
    ) = None
    redis: QueueRedis = Field(default_factory=QueueRedis)
    sqs: QueueSqs = Field(default_factory=QueueSqs)

    def concurrency(self, driver: QueueDriver) -> int:
        """Webhook requests at one time to one endpoint: the driver's own figure, else that of Redis."""
        own: int = getattr(getattr(self, driver, None), "concurrency", self.redis.concurrency)
        return own
