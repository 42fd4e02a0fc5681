"""What a supervisor has to do with Redis: it runs the private server, declares workers dead, asks for other nodes.

It decides nothing. A node without Redis does not load it, since Redis's client is a quarter of what a supervisor loads.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from engine.config.loading.load import Loaded
from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.occupancy.declare_dead import DeadWorkers
from engine.occupancy.other_nodes import others_live
from engine.redis.embedded import EmbeddedValkey
from engine.supervisor.adopted import AdoptedChild

#: For each step of asking Redis whether there are other nodes.
ASK_TIMEOUT_S = 0.5

_log = logging.getLogger(__name__)


class NodeRedis:
    """:ivar options: of the Redis, whether it is needed or not; those of the private server, where that is it.
    :ivar dead_workers: None where workers do not share their state.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._config = loaded.config
        resolved = loaded.resolved
        self._valkey: EmbeddedValkey | None = None
        if resolved.redis_embedded:
            self._valkey = EmbeddedValkey(Path(self._config.database.redis.embedded.data_dir))
        self._configured = resolved.redis
        self._shared = resolved.adapter == "redis"

    @property
    def options(self) -> RedisOptions:
        options = self._configured if self._valkey is None else self._valkey.options
        assert options is not None, "there is a Redis"
        return options

    @property
    def dead_workers(self) -> DeadWorkers | None:
        return DeadWorkers(self.options, self._config) if self._shared else None

    def start(self, given: dict[str, Any] | None) -> None:
        """Start the private server, if it is that, or take it over. :param given: by `give` of an earlier program."""
        if self._valkey is not None:
            if given is None:
                self._valkey.start()
            else:
                self._valkey.take_over(given, AdoptedChild(given["pid"]))

    def give(self) -> dict[str, Any] | None:
        """What the next program of this process needs to go on with the private server; None where there is none."""
        return None if self._valkey is None else self._valkey.give()

    def stop(self) -> None:
        if self._valkey is not None:
            self._valkey.stop()

    def look_after(self) -> None:
        """Start the private server again if it ended."""
        if self._valkey is not None and not self._valkey.alive:
            _log.error("the embedded Valkey ended; starting it again on the same data")
            self._valkey.restart()

    def others_live(self, ours: set[str]) -> bool:
        """Whether clients have another node to go to; when nobody can say, they may have.

        :param ours: incarnations of this node's workers.
        """
        if self._valkey is not None or not self._shared:
            return False
        try:
            return others_live(self.options, self._config.database.redis.key_prefix, ours, ASK_TIMEOUT_S)
        except StoreUnavailable as error:
            _log.warning("%s; taking it that there are some", error)
            return True
