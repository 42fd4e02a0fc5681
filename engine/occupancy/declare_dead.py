"""How the supervisor, which runs no event loop, declares a worker of its host dead to the cluster.

The same script as `RedisOccupancy.leave`; every worker hears of it and the leader purges at once.
"""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from engine.config.redis import RedisOptions
from engine.config.root import Config
from engine.errors import StoreUnavailable
from engine.occupancy.redis_keys import Keys
from engine.redis.pool import blocking
from engine.redis.scripts import load, unsplit

#: For each step of it; the supervisor's loop must not wait for Redis.
TIMEOUT_S = 1.0
_LEAVE = load("occupancy_leave", common="occupancy_common")

_log = logging.getLogger(__name__)


class DeadWorkers:
    """Declares workers of this host dead.

    The client is made anew each time: it is hardly ever needed, and another server may be the master by then.
    """

    def __init__(self, options: RedisOptions, config: Config) -> None:
        self._options = options
        self._prefix = config.database.redis.key_prefix
        self._topic_prefix = options.beside_occupancy(config.adapter.redis.prefix)

    def declare(self, incarnation: str) -> None:
        """Give the incarnation up; with Redis away, its heartbeat runs out instead."""
        try:
            declare_dead(self._options, self._prefix, self._topic_prefix, incarnation, TIMEOUT_S)
        except StoreUnavailable as error:
            _log.warning("%s; the cluster will find out by its missing heartbeat", error)


def declare_dead(options: RedisOptions, prefix: str, topic_prefix: str, incarnation: str, timeout_s: float) -> None:
    """Give up an incarnation and, if it was the leader, its lease.

    :param timeout_s: for each step of it.

    Raises StoreUnavailable; the worker's heartbeat then runs out instead.
    """
    base = Keys(prefix).base
    keys = (base, unsplit(base)) if options.nodes else (base,)
    try:
        with blocking(options, timeout_s) as client:
            client.eval(_LEAVE.source, len(keys), *keys, topic_prefix, incarnation)
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"declaring {incarnation} dead: {error or type(error).__name__}") from error
