"""The environment variables of soketi, laid over a configuration of soketi as soketi itself does it.

Pure: it reads no environment but the one it is given, and checks no value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.config.loading.document import Document, get, put
from engine.errors import ConfigError

#: What all of them begin with.
PREFIX = "SOKETI_"
#: Variable without the beginning -> option. An application's options are those of the first in the list.
VARIABLES: dict[str, str] = {
    "ADAPTER_DRIVER": "adapter.driver",
    "ADAPTER_CLUSTER_REQUESTS_TIMEOUT": "adapter.cluster.requestsTimeout",
    "ADAPTER_REDIS_PREFIX": "adapter.redis.prefix",
    "ADAPTER_REDIS_CLUSTER_MODE": "adapter.redis.clusterMode",
    "ADAPTER_REDIS_REQUESTS_TIMEOUT": "adapter.redis.requestsTimeout",
    "ADAPTER_REDIS_SUB_OPTIONS": "adapter.redis.redisSubOptions",
    "ADAPTER_REDIS_PUB_OPTIONS": "adapter.redis.redisPubOptions",
    "ADAPTER_NATS_PREFIX": "adapter.nats.prefix",
    "ADAPTER_NATS_SERVERS": "adapter.nats.servers",
    "ADAPTER_NATS_USER": "adapter.nats.user",
    "ADAPTER_NATS_PASSWORD": "adapter.nats.pass",
    "ADAPTER_NATS_TOKEN": "adapter.nats.token",
    "ADAPTER_NATS_TIMEOUT": "adapter.nats.timeout",
    "ADAPTER_NATS_REQUESTS_TIMEOUT": "adapter.nats.requestsTimeout",
    "ADAPTER_NATS_NODES_NUMBER": "adapter.nats.nodesNumber",
    "APP_MANAGER_DRIVER": "appManager.driver",
    "APP_MANAGER_CACHE_ENABLED": "appManager.cache.enabled",
    "APP_MANAGER_CACHE_TTL": "appManager.cache.ttl",
    "APP_MANAGER_DYNAMODB_TABLE": "appManager.dynamodb.table",
    "APP_MANAGER_DYNAMODB_REGION": "appManager.dynamodb.region",
    "APP_MANAGER_DYNAMODB_ENDPOINT": "appManager.dynamodb.endpoint",
    "APP_MANAGER_MYSQL_TABLE": "appManager.mysql.table",
    "APP_MANAGER_MYSQL_VERSION": "appManager.mysql.version",
    "APP_MANAGER_POSTGRES_TABLE": "appManager.postgres.table",
    "APP_MANAGER_POSTGRES_VERSION": "appManager.postgres.version",
    "APP_MANAGER_MYSQL_USE_V2": "appManager.mysql.useMysql2",
    "CHANNEL_LIMITS_MAX_NAME_LENGTH": "channelLimits.maxNameLength",
    "CHANNEL_CACHE_TTL": "channelLimits.cacheTtl",
    "CACHE_DRIVER": "cache.driver",
    "CACHE_REDIS_CLUSTER_MODE": "cache.redis.clusterMode",
    "CACHE_REDIS_OPTIONS": "cache.redis.redisOptions",
    "CLUSTER_CHECK_INTERVAL": "cluster.checkInterval",
    "CLUSTER_HOST": "cluster.hostname",
    "CLUSTER_IGNORE_PROCESS": "cluster.ignoreProcess",
    "CLUSTER_BROADCAST_ADDRESS": "cluster.broadcast",
    "CLUSTER_KEEPALIVE_INTERVAL": "cluster.helloInterval",
    "CLUSTER_MASTER_TIMEOUT": "cluster.masterTimeout",
    "CLUSTER_MULTICAST_ADDRESS": "cluster.multicast",
    "CLUSTER_NODE_TIMEOUT": "cluster.nodeTimeout",
    "CLUSTER_PORT": "cluster.port",
    "CLUSTER_PREFIX": "cluster.prefix",
    "CLUSTER_UNICAST_ADDRESSES": "cluster.unicast",
    "DEBUG": "debug",
    "DB_POOLING_ENABLED": "databasePooling.enabled",
    "DB_POOLING_MIN": "databasePooling.min",
    "DB_POOLING_MAX": "databasePooling.max",
    "DB_MYSQL_HOST": "database.mysql.host",
    "DB_MYSQL_PORT": "database.mysql.port",
    "DB_MYSQL_USERNAME": "database.mysql.user",
    "DB_MYSQL_PASSWORD": "database.mysql.password",
    "DB_MYSQL_DATABASE": "database.mysql.database",
    "DB_POSTGRES_HOST": "database.postgres.host",
    "DB_POSTGRES_PORT": "database.postgres.port",
    "DB_POSTGRES_USERNAME": "database.postgres.user",
    "DB_POSTGRES_PASSWORD": "database.postgres.password",
    "DB_POSTGRES_DATABASE": "database.postgres.database",
    "DB_REDIS_HOST": "database.redis.host",
    "DB_REDIS_PORT": "database.redis.port",
    "DB_REDIS_DB": "database.redis.db",
    "DB_REDIS_USERNAME": "database.redis.username",
    "DB_REDIS_PASSWORD": "database.redis.password",
    "DB_REDIS_KEY_PREFIX": "database.redis.keyPrefix",
    "DB_REDIS_SENTINELS": "database.redis.sentinels",
    "DB_REDIS_SENTINEL_PASSWORD": "database.redis.sentinelPassword",
    "DB_REDIS_CLUSTER_NODES": "database.redis.clusterNodes",
    "DB_REDIS_INSTANCE_NAME": "database.redis.name",
    "EVENT_MAX_BATCH_SIZE": "eventLimits.maxBatchSize",
    "EVENT_MAX_CHANNELS_AT_ONCE": "eventLimits.maxChannelsAtOnce",
    "EVENT_MAX_NAME_LENGTH": "eventLimits.maxNameLength",
    "EVENT_MAX_SIZE_IN_KB": "eventLimits.maxPayloadInKb",
    "HOST": "host",
    "HTTP_ACCEPT_TRAFFIC_MEMORY_THRESHOLD": "httpApi.acceptTraffic.memoryThreshold",
    "METRICS_ENABLED": "metrics.enabled",
    "METRICS_DRIVER": "metrics.driver",
    "METRICS_HOST": "metrics.host",
    "METRICS_PROMETHEUS_PREFIX": "metrics.prometheus.prefix",
    "METRICS_SERVER_PORT": "metrics.port",
    "MODE": "mode",
    "PORT": "port",
    "PATH_PREFIX": "pathPrefix",
    "PRESENCE_MAX_MEMBER_SIZE": "presence.maxMemberSizeInKb",
    "PRESENCE_MAX_MEMBERS": "presence.maxMembersPerChannel",
    "QUEUE_DRIVER": "queue.driver",
    "QUEUE_REDIS_CONCURRENCY": "queue.redis.concurrency",
    "QUEUE_REDIS_OPTIONS": "queue.redis.redisOptions",
    "QUEUE_REDIS_CLUSTER_MODE": "queue.redis.clusterMode",
    "QUEUE_SQS_REGION": "queue.sqs.region",
    "QUEUE_SQS_CLIENT_OPTIONS": "queue.sqs.clientOptions",
    "QUEUE_SQS_URL": "queue.sqs.queueUrl",
    "QUEUE_SQS_ENDPOINT": "queue.sqs.endpoint",
    "QUEUE_SQS_PROCESS_BATCH": "queue.sqs.processBatch",
    "QUEUE_SQS_BATCH_SIZE": "queue.sqs.batchSize",
    "QUEUE_SQS_POLLING_WAIT_TIME_MS": "queue.sqs.pollingWaitTimeMs",
    "RATE_LIMITER_DRIVER": "rateLimiter.driver",
    "RATE_LIMITER_REDIS_OPTIONS": "rateLimiter.redis.redisOptions",
    "RATE_LIMITER_REDIS_CLUSTER_MODE": "rateLimiter.redis.clusterMode",
    "SHUTDOWN_GRACE_PERIOD": "shutdownGracePeriod",
    "SSL_CERT": "ssl.certPath",
    "SSL_KEY": "ssl.keyPath",
    "SSL_PASS": "ssl.passphrase",
    "SSL_CA": "ssl.caPath",
    "USER_AUTHENTICATION_TIMEOUT": "userAuthenticationTimeout",
    "WEBHOOKS_BATCHING": "webhooks.batching.enabled",
    "WEBHOOKS_BATCHING_DURATION": "webhooks.batching.duration",
}
#: The same for options of the first application.
OF_APP: dict[str, str] = {
    "DEFAULT_APP_ID": "id",
    "DEFAULT_APP_KEY": "key",
    "DEFAULT_APP_SECRET": "secret",
    "DEFAULT_APP_MAX_CONNS": "maxConnections",
    "DEFAULT_APP_ENABLE_CLIENT_MESSAGES": "enableClientMessages",
    "DEFAULT_APP_ENABLED": "enabled",
    "DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC": "maxBackendEventsPerSecond",
    "DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC": "maxClientEventsPerSecond",
    "DEFAULT_APP_MAX_READ_REQ_PER_SEC": "maxReadRequestsPerSecond",
    "DEFAULT_APP_USER_AUTHENTICATION": "enableUserAuthentication",
    "DEFAULT_APP_WEBHOOKS": "webhooks",
}
_KNOWN = frozenset({*VARIABLES, *OF_APP})
_APPS = ("appManager", "array", "apps")
#: What Kubernetes sets for a service that is called soketi.
_SERVICE = re.compile(r"SOKETI_(SERVICE_(HOST|PORT)\w*|PORT_\d+_\w+)")
#: Options that are never numbers.
_TEXT = frozenset(
    {"id", "key", "secret", "user", "username", "password", "pass", "sentinelPassword", "passphrase", "token"}
    | {"host", "hostname", "name", "prefix", "keyPrefix", "pathPrefix", "database", "table"}
    | {"certPath", "keyPath", "caPath"}
)
_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


def given(environ: Mapping[str, str]) -> dict[str, str]:
    """Those that are set and say something; the address that Kubernetes sets for a service's port says nothing."""
    found = {PREFIX + name: environ.get(PREFIX + name, "") for name in (*VARIABLES, *OF_APP)}
    return {name: value for name, value in found.items() if value and not _ADDRESS.match(value)}


def lay_over(soketi: Document, environ: Mapping[str, str], default_app: Document) -> list[str]:
    """Put what they say into `soketi`, whose keys are unfolded; a line for each variable that nobody knows.

    :param default_app: the application that the variables change where the file has none.
    :raises ConfigError: a list or an object that cannot be read.
    """
    for variable in given(environ):
        name = variable.removeprefix(PREFIX)
        if name in VARIABLES:
            put(soketi, tuple(VARIABLES[name].split(".")), _parsed(environ, variable, VARIABLES[name]))
            continue
        if not get(soketi, _APPS):
            put(soketi, _APPS, [dict(default_app)])
        first = get(soketi, (*_APPS, 0))
        if isinstance(first, dict):
            first[OF_APP[name]] = _parsed(environ, variable, OF_APP[name])
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in _KNOWN)
    return [f"{name}: is not a variable of soketi that is known here" for name in unknown if not _SERVICE.match(name)]


def _parsed(environ: Mapping[str, str], variable: str, option: str) -> Any:
    """As JSON, where it is; a secret or a name stays the text that it is, whatever digits are in it."""
    value = environ[variable]
    if option.rpartition(".")[2] in _TEXT:
        return value
    try:
        return json.loads(value)
    except ValueError as problem:
        if value.lstrip().startswith(("[", "{")):
            raise ConfigError(
                f"{variable}: is not JSON: {problem}; a shell that reads it from a file wants it in single quotes there"
            ) from None
        return value
