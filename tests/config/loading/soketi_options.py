"""Every option that soketi knows, each with what `config convert` makes of it; no tests.

Done: it stands in the result. Passed over: a line names it.
"""

from __future__ import annotations

from tests.config.loading.sockudo_options import PEM, Row, passed

SOKETI: list[Row] = [
    Row("host", "done", "127.0.0.1"),
    Row("port", "done", 7001),
    Row("debug", "done", True),
    Row("pathPrefix", "done", "/ws"),
    Row("shutdownGracePeriod", "done", 2_000),
    Row("userAuthenticationTimeout", "done", 60_000),
    Row("mode", "passed over", "worker"),
    Row("instance.process_id", "passed over"),
    *passed(
        "cluster.",
        "hostname helloInterval checkInterval nodeTimeout masterTimeout port prefix ignoreProcess broadcast unicast "
        "multicast",
    ),
    Row("adapter.driver", "done", "redis"),
    Row("adapter.driver", "passed over", "cluster"),
    Row("adapter.driver", "passed over", "nats"),
    Row("adapter.redis.prefix", "done", "p", {"adapter.driver": "redis"}),
    Row("adapter.redis.clusterMode", "done", True, {"adapter.driver": "redis"}),
    *passed("adapter.redis.", "requestsTimeout redisPubOptions redisSubOptions"),
    *(
        Row(
            f"adapter.redis.redis{mine}Options",
            "done",
            {"tls": {}, "username": "x"},
            {"adapter.driver": "redis", f"adapter.redis.redis{other}Options": {"tls": {}, "username": "x"}},
        )
        for mine, other in (("Pub", "Sub"), ("Sub", "Pub"))
    ),
    *passed("adapter.cluster.", "requestsTimeout"),
    *passed("adapter.nats.", "requestsTimeout prefix servers user password pass token timeout nodesNumber"),
    Row("appManager.driver", "done", "mysql"),
    Row("appManager.array.apps", "done", [{"id": "7", "key": "k7", "secret": "s7"}]),
    *passed("appManager.cache.", "enabled ttl"),
    *(
        Row(f"appManager.dynamodb.{name}", "done", value, {"appManager.driver": "dynamodb"})
        for name, value in (("table", "xyz"), ("region", "eu-west-1"), ("endpoint", "http://h"))
    ),
    *(
        Row(f"appManager.{driver}.table", "done", "x", {"appManager.driver": driver})
        for driver in ("mysql", "postgres")
    ),
    Row("cache.driver", "done", "redis"),
    Row("cache.redis.redisOptions", "passed over"),
    Row("cache.redis.redisOptions", "done", {"host": "x", "tls": {}}, {"cache.driver": "redis"}),
    Row("cache.redis.clusterMode", "done", True, {"cache.driver": "redis"}),
    Row("channelLimits.maxNameLength", "done", 7),
    Row("channelLimits.cacheTtl", "done", 7),
    Row("cors.credentials", "done", False),
    Row("cors.origin", "done", ["https://a.example"]),
    Row("cors.methods", "done", ["GET"]),
    Row("cors.allowedHeaders", "done", ["X-A"]),
    *(
        Row(f"database.{driver}.{name}", "done", value, {"appManager.driver": driver})
        for driver in ("mysql", "postgres")
        for name, value in (("host", "h"), ("port", 7), ("user", "x"), ("password", "x"), ("database", "x"))
    ),
    *(
        Row(f"database.redis.{name}", "done", value, {"adapter.driver": "redis"})
        for name, value in (
            ("host", "h"),
            ("port", 7),
            ("db", 7),
            ("username", "x"),
            ("password", "x"),
            ("keyPrefix", "x"),
            ("sentinels", [{"host": "h", "port": 26379}]),
        )
    ),
    *(
        Row(
            f"database.redis.{name}",
            "done",
            "x",
            {"adapter.driver": "redis", "database.redis.sentinels": [{"host": "h", "port": 26379}]},
        )
        for name in ("sentinelPassword", "name")
    ),
    Row(
        "database.redis.clusterNodes",
        "done",
        [{"host": "h", "port": 7000}],
        {"adapter.driver": "redis", "adapter.redis.clusterMode": True},
    ),
    *passed("databasePooling.", "enabled min max"),
    *(
        Row(f"eventLimits.{name}", "done", 7)
        for name in ("maxChannelsAtOnce", "maxNameLength", "maxPayloadInKb", "maxBatchSize")
    ),
    Row("httpApi.requestLimitInMb", "done", 7),
    Row("httpApi.acceptTraffic.memoryThreshold", "done", 50),
    Row("metrics.enabled", "done", True),
    Row("metrics.driver", "done", "prometheus"),
    Row("metrics.host", "done", "127.0.0.1"),
    Row("metrics.port", "done", 7),
    Row("metrics.prometheus.prefix", "done", "x_"),
    Row("presence.maxMembersPerChannel", "done", 7),
    Row("presence.maxMemberSizeInKb", "done", 7),
    Row("queue.driver", "done", "redis"),
    Row("queue.driver", "done", "sqs"),
    Row("queue.redis.concurrency", "done", 7, {"queue.driver": "redis"}),
    Row("queue.redis.redisOptions", "passed over"),
    Row("queue.redis.redisOptions", "done", {"host": "x", "tls": {}}, {"queue.driver": "redis"}),
    Row("queue.redis.clusterMode", "done", True, {"queue.driver": "redis"}),
    *(
        Row(f"queue.sqs.{name}", "done", value, {"queue.driver": "sqs"})
        for name, value in (("region", "eu-west-1"), ("endpoint", "http://h"))
    ),
    *passed("queue.sqs.", "queueUrl clientOptions consumerOptions processBatch batchSize pollingWaitTimeMs"),
    Row("rateLimiter.driver", "done", "redis"),
    Row("rateLimiter.redis.redisOptions", "passed over"),
    Row("rateLimiter.redis.redisOptions", "done", {"host": "x", "tls": {}}, {"rateLimiter.driver": "redis"}),
    Row("rateLimiter.redis.clusterMode", "done", True, {"rateLimiter.driver": "redis"}),
    Row("ssl.certPath", "done", PEM, {"ssl.keyPath": PEM}),
    Row("ssl.keyPath", "done", PEM, {"ssl.certPath": PEM}),
    Row("ssl.passphrase", "done", "x"),
    Row("ssl.caPath", "passed over", "/ca.pem"),
    Row("webhooks.batching.enabled", "done", True),
    Row("webhooks.batching.duration", "done", 7),
]
