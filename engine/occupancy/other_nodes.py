"""Whether anybody but this node's workers is in the cluster, asked by the supervisor, which runs no event loop."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from redis.exceptions import RedisError

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.occupancy.redis_keys import Keys
from engine.redis.pool import blocking


def others_live(options: RedisOptions, prefix: str, ours: Collection[str], timeout_s: float) -> bool:
    """:param ours: incarnations of this node's workers. :param timeout_s: for each step of it.

    Raises StoreUnavailable.
    """
    try:
        with blocking(options, timeout_s) as client:
            living = cast(list[bytes], client.zrange(Keys(prefix).workers, 0, -1))
    except (RedisError, OSError) as error:
        raise StoreUnavailable(f"asking for other nodes: {error or type(error).__name__}") from error
    return bool({name.decode() for name in living}.difference(ours))
