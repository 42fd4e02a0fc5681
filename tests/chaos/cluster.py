"""What the chaos run is played on: two nodes over one real Valkey that keeps its data, and a webhook endpoint.

Knows who leads. Blocking; the run calls it from threads.
"""

from __future__ import annotations

from typing import Any

import redis

from engine.occupancy.redis_keys import Keys
from tests.chaos.node import Node
from tests.chaos.plan import HEARTBEAT_MS, NODE_TIMEOUT_MS, NODES
from tests.support.engine import APP
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer

HOOK = "/hook"
#: As the embedded one, but for the fsync: what was answered survives.
KEEPS_DATA = ("--appendonly", "yes", "--appendfsync", "always")
PREFIX, QUEUE_PREFIX = "sockudo:", "sockudo_queue:"
#: What is there even when nobody is.
LASTING = frozenset({"reaped", "clock", "epoch", "lease", "workers", "turns"})


class Cluster:
    """Started by entering it."""

    def __init__(self, settle_ms: int) -> None:
        self._settle_ms = settle_ms
        self.receiver = WebhookReceiver()
        self.valkey = ValkeyServer(KEEPS_DATA)
        self.nodes: list[Node] = []

    def __enter__(self) -> Cluster:
        try:
            self.receiver.start()
            self.valkey.start()
            self.nodes += [Node(name, self._config()) for name in "ABCDEFGH"[:NODES]]
            for node in self.nodes:
                node.wait_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.remove()
        self.valkey.stop()
        self.receiver.stop()

    def workers(self) -> list[int]:
        return [pid for node in self.nodes for pid in node.engine.workers()]

    def leader(self) -> int | None:
        """Process id of the worker that has the lease; None while nobody has, or nobody can tell."""
        client = self.valkey.client()
        try:
            holder = client.get(f"{Keys(PREFIX).base}lease")
        except redis.RedisError:
            return None
        finally:
            client.close()
        if holder is None:
            return None
        return next((pid for node in self.nodes if (pid := node.worker_called(holder.decode()))), None)

    def expire_lease(self) -> bool:
        """Whether somebody had it. Who leads learns of it later than others, as after having stood still."""
        client = self.valkey.client()
        try:
            return bool(client.delete(f"{Keys(PREFIX).base}lease"))
        except redis.RedisError:
            return False
        finally:
            client.close()

    def leftovers(self) -> dict[str, str]:
        """Keys that should not be there when nobody is, and all is told and delivered: key -> type."""
        base = Keys(PREFIX).base
        client = self.valkey.client()
        try:
            names = [name.decode() for name in client.scan_iter(f"{base}*")]
            left = [name for name in names if name.removeprefix(base) not in LASTING]
            queue = (name.decode() for name in client.scan_iter(f"{QUEUE_PREFIX}*"))
            # The consumer's own name and lease, and of whom it took over, stay.
            kept = ("consumer:", "consumers", "gone:")
            left += [name for name in queue if not name.removeprefix(QUEUE_PREFIX).startswith(kept)]
            return {name: client.type(name).decode() for name in sorted(left)}
        finally:
            client.close()

    def _config(self) -> dict[str, Any]:
        hook = {
            "url": f"{self.receiver.url}{HOOK}",
            "event_types": ["channel_occupied", "channel_vacated", "member_added", "member_removed"],
        }
        return {
            "database": {"redis": {"url": self.valkey.url}},
            "adapter": {
                "driver": "redis",
                "cluster_health": {"heartbeat_interval_ms": HEARTBEAT_MS, "node_timeout_ms": NODE_TIMEOUT_MS},
            },
            "webhooks": {
                "settle_ms": self._settle_ms,
                "batching": {"enabled": True, "duration": 20, "size": 5},
                "request_timeout_ms": 1000,
                # So many that no job of a run is ever given up.
                "retry": {"max_attempts": 100, "initial_backoff_ms": 50, "max_backoff_ms": 1000},
            },
            "app_manager": {"array": {"apps": [APP | {"webhooks": [hook]}]}},
        }
