"""The webhook queue of the running engine, opened for an operator. Called by the `webhooks` commands.

It finds the queue as the engine does, from the same configuration, and becomes no consumer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from engine.config.redis import RedisOptions
from engine.config.resolve import redis_options
from engine.config.root import Config
from engine.errors import ConfigError
from engine.interfaces import WebhookQueue
from engine.redis.embedded import find_socket
from engine.redis.pool import connect
from engine.webhooks.queues.redis import RedisQueue

_IN_MEMORY = (
    "the queue of an engine with {why} is in that process, where no other can look; to operate on it, start with "
    '--workers 2 or more, or set queue.driver to "redis" or "sqs"'
)


@asynccontextmanager
async def open_queue(config: Config) -> AsyncIterator[WebhookQueue]:
    """Raises ConfigError when there is none that another process could open."""
    if config.queue.driver == "memory":
        raise ConfigError("queue.driver: " + _IN_MEMORY.format(why='queue.driver "memory"'))
    if config.queue.driver == "sqs":
        from engine.webhooks.queues.sqs.queue import SqsQueue

        queue: WebhookQueue = SqsQueue(config.queue.sqs)
        await queue.start()
        try:
            yield queue
        finally:
            await queue.stop()
        return
    options = redis_options(config.database.redis) or _embedded(config)
    client = connect(options)
    try:
        yield RedisQueue(client, options.beside_occupancy(config.queue.redis.prefix), "operator")
    finally:
        await client.aclose()


def where(config: Config) -> str:
    """The queue's place for a message, without anything secret."""
    if config.queue.driver == "sqs":
        return f"SQS in {config.queue.sqs.region}"
    options = redis_options(config.database.redis)
    return options.address if options is not None else f"the Valkey of {config.database.redis.embedded.data_dir}"


def _embedded(config: Config) -> RedisOptions:
    folder = Path(config.database.redis.embedded.data_dir)
    socket = find_socket(folder)
    if socket is None:
        raise ConfigError(
            f"database.redis.embedded.data_dir: no engine has its Valkey in {folder.absolute()} now; run this in the "
            f"folder in which the engine was started, while it runs\n{_IN_MEMORY.format(why='one worker and no Redis')}"
        )
    return RedisOptions(path=str(socket))
