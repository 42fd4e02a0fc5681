"""How the supervisor, which runs no event loop, tells the cluster that one of its workers died.

The same script as `RedisOccupancy.leave`; every worker hears of it and the leader purges at once.
"""

from __future__ import annotations

from redis import Redis
from redis.exceptions import RedisError

from engine.errors import StoreUnavailable
from engine.occupancy.keys import Keys
from engine.redis.scripts import load

_LEAVE = load("occupancy_leave", common="occupancy_common")


def declare_dead(client: Redis, prefix: str, topic_prefix: str, incarnation: str) -> None:
    """Give up an incarnation and, if it was the leader, its lease.

    :param client: blocking; its own socket time-outs bound the call.

    Raises StoreUnavailable; the worker's heartbeat then runs out instead.
    """
    try:
        client.eval(_LEAVE.source, 1, Keys(prefix).base, topic_prefix, incarnation)
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"declaring {incarnation} dead: {error or type(error).__name__}") from error
