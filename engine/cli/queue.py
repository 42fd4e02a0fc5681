"""The webhook queue of the running engine, opened for an operator.

It finds the queue as the engine does, from the same configuration and table of drivers, and becomes no consumer.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from engine.config.backends import QueueDriver
from engine.config.redis import RedisOptions
from engine.config.resolve import redis_options
from engine.config.root import Config
from engine.errors import ConfigError
from engine.interfaces import WebhookQueue
from engine.redis.embedded import find_socket
from engine.redis.pool import connect
from engine.webhooks.queues.drivers import DRIVERS, Opening

#: What a null means for an operator: with one worker and no Redis there is no queue to be found, and that is said.
_DEFAULT: QueueDriver = "redis"
_IN_MEMORY = (
    "the queue of an engine with {why} is in that process, where no other can look; to operate on it, start with "
    '--workers 2 or more, or set queue.driver to "redis" or "sqs"'
)


@asynccontextmanager
async def open_queue(config: Config) -> AsyncIterator[WebhookQueue]:
    """Raises ConfigError when there is none that another process could open."""
    word = config.queue.driver or _DEFAULT
    driver = DRIVERS[word]
    if driver.kept_in == "worker":
        raise ConfigError("queue.driver: " + _IN_MEMORY.format(why=f'queue.driver "{word}"'))
    async with AsyncExitStack() as stack:
        redis = None
        if driver.kept_in == "redis":
            options = redis_options(config.database.redis) or _embedded(config)
            redis = connect(options), options
            stack.push_async_callback(redis[0].aclose)
        queue = driver.open(Opening(config.queue, None, redis))
        await queue.start()
        stack.push_async_callback(queue.stop)
        yield queue


def where(config: Config) -> str:
    """The queue's place for a message, without anything secret."""
    driver = DRIVERS[config.queue.driver or _DEFAULT]
    if driver.kept_in == "service":
        return driver.label(config.queue)
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
