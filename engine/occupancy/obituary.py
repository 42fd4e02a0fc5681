"""How the supervisor, which runs no event loop, tells the cluster that one of its workers died.

The same script as `RedisOccupancy.leave`; every worker hears of it and the leader purges at once.
"""

from __future__ import annotations

from redis.exceptions import RedisError

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.occupancy.keys import Keys
from engine.redis.pool import blocking
from engine.redis.scripts import load, unsplit

_LEAVE = load("occupancy_leave", common="occupancy_common")


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
