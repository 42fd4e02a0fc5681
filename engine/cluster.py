"""The supervisor's one line to the shared state: telling the cluster that a worker of this host is dead."""

from __future__ import annotations

import logging

from engine.config.redis import RedisOptions
from engine.config.root import Config
from engine.errors import StoreUnavailable
from engine.occupancy.obituary import declare_dead

TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)


class Cluster:
    """A blocking client with short time-outs: the supervisor's loop must not wait for Redis. Made anew each time, as it
    is hardly ever needed, and another server may be the master by then."""

    def __init__(self, options: RedisOptions, config: Config) -> None:
        self._options = options
        self._prefix = config.database.redis.key_prefix
        self._topic_prefix = options.beside_occupancy(config.adapter.redis.prefix)

    def declare_dead(self, incarnation: str) -> None:
        try:
            declare_dead(self._options, self._prefix, self._topic_prefix, incarnation, TIMEOUT_S)
        except StoreUnavailable as error:
            _log.warning("%s; the cluster will find out by its missing heartbeat", error)
