"""The supervisor's one line to the shared state: telling the cluster that a worker of this host is dead."""

from __future__ import annotations

import logging

from redis import Redis

from engine.config.redis import RedisOptions
from engine.config.root import Config
from engine.errors import StoreUnavailable
from engine.occupancy.obituary import declare_dead

TIMEOUT_S = 1.0

_log = logging.getLogger(__name__)


class Cluster:
    """A blocking client with short time-outs: the supervisor's loop must not wait for Redis."""

    def __init__(self, options: RedisOptions, config: Config) -> None:
        self._prefix = config.database.redis.key_prefix
        self._topic_prefix = config.adapter.redis.prefix
        self._client = Redis(
            host=options.host,
            port=options.port,
            db=options.db,
            username=options.username,
            password=options.password,
            ssl=options.tls,
            unix_socket_path=options.path,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
        )

    def declare_dead(self, incarnation: str) -> None:
        try:
            declare_dead(self._client, self._prefix, self._topic_prefix, incarnation)
        except StoreUnavailable as error:
            _log.warning("%s; the cluster will find out by its missing heartbeat", error)

    def close(self) -> None:
        self._client.close()
