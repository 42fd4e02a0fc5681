"""The drivers of the webhook queue: for each word of `queue.driver` how to open it, for a worker or for an operator.

The only place that knows them all. A new one is a file in this folder, a row in `DRIVERS`, and a section in the
configuration (`config/backends.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from engine.config.backends import QueueConfig, QueueDriver
from engine.config.redis import RedisOptions
from engine.interfaces import WebhookQueue
from engine.metrics.metrics import Metrics
from engine.webhooks.queues.memory import MemoryQueue

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from engine.redis.suitability import Suitability


@dataclass(frozen=True, slots=True)
class Opening:
    """Who opens a queue, and with what.

    :param consumer: the worker's name in the cluster; None for an operator, who neither decides nor delivers.
    :param redis: the client of the shared state and the options it was made by; None where there is no such Redis.
    :param metrics: a worker's. :param server: whether that Redis does for the engine, as a worker asks.
    """

    config: QueueConfig
    consumer: str | None
    redis: tuple[Redis, RedisOptions] | None
    metrics: Metrics | None = None
    server: Suitability | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """One row.

    :param open: makes the queue; it is started by the caller.
    :param kept_in: where jobs wait: in the memory of the worker, in the engine's Redis, or in a service of its own.
    :param label: names a service to the operator, without anything secret.
    """

    open: Callable[[Opening], WebhookQueue]
    kept_in: Literal["worker", "redis", "service"]
    label: Callable[[QueueConfig], str] = lambda _: "a service"


def _memory(opening: Opening) -> WebhookQueue:
    return MemoryQueue(metrics=opening.metrics)


def _redis(opening: Opening) -> WebhookQueue:
    # Imported only here, as what is Redis's is everywhere.
    from engine.webhooks.queues.redis import RedisQueue

    assert opening.redis is not None
    client, options = opening.redis
    prefix = options.beside_occupancy(opening.config.redis.prefix)
    return RedisQueue(client, prefix, opening.consumer or "operator", metrics=opening.metrics, server=opening.server)


def _sqs(opening: Opening) -> WebhookQueue:
    # Imported only here: it costs a process 45 MiB.
    from engine.webhooks.queues.sqs.outbox import MemoryOutbox, RedisOutbox
    from engine.webhooks.queues.sqs.queue import SqsQueue

    if opening.consumer is None:
        return SqsQueue(opening.config.sqs)
    if opening.redis is None:
        return SqsQueue(opening.config.sqs, MemoryOutbox(), metrics=opening.metrics)
    client, options = opening.redis
    outbox = RedisOutbox(client, options.beside_occupancy(opening.config.redis.prefix) + "outbox")
    return SqsQueue(opening.config.sqs, outbox, metrics=opening.metrics)


DRIVERS: dict[QueueDriver, Driver] = {
    "memory": Driver(_memory, "worker"),
    "redis": Driver(_redis, "redis"),
    "sqs": Driver(_sqs, "service", lambda config: f"SQS in {config.sqs.region}"),
}
