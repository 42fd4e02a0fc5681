"""What the chaos run is played on: two nodes over real Valkeys, and a webhook endpoint.

Knows who leads. Blocking; the run calls it from threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis

from tests.chaos.grounds import BASE, Ground, OneServer
from tests.chaos.node import Node
from tests.chaos.plan import HEARTBEAT_MS, NODE_TIMEOUT_MS, NODES
from tests.support.engine import APP
from tests.support.receiver import WebhookReceiver

HOOK = "/hook"
#: An application without webhooks, for whoever only looks on.
WATCHED = APP | {"id": "2", "key": "watched-key", "secret": "watched-secret"}
#: What is there even when nobody is.
LASTING = frozenset({"reaped", "clock", "epoch", "lease", "life", "workers", "turns", "pending"})


class Cluster:
    """Started by entering it. :param ground: one server that keeps its data, if none is given.

    :param also: further endpoints that are told everything; nobody here reads what they hear.
    """

    def __init__(self, settle_ms: int, ground: Ground | None = None, also: Sequence[str] = ()) -> None:
        self._settle_ms = settle_ms
        self._also = also
        self.receiver = WebhookReceiver()
        self.ground = ground or OneServer()
        self.nodes: list[Node] = []

    def __enter__(self) -> Cluster:
        try:
            self.receiver.start()
            self.ground.start()
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
        self.ground.stop()
        self.receiver.stop()

    def workers(self) -> list[int]:
        return [pid for node in self.nodes for pid in node.engine.workers()]

    def leader(self) -> int | None:
        """Process id of the worker that has the lease; None while nobody has, or nobody can tell."""
        try:
            with self.ground.client() as client:
                holder = client.get(f"{BASE}lease")
        except redis.RedisError:
            return None
        if holder is None:
            return None
        return next((pid for node in self.nodes if (pid := node.worker_called(holder.decode()))), None)

    def expire_lease(self) -> bool:
        """Whether somebody had it. Who leads learns of it later than others, as after having stood still."""
        try:
            with self.ground.client() as client:
                return bool(client.delete(f"{BASE}lease"))
        except redis.RedisError:
            return False

    def leftovers(self) -> dict[str, str]:
        """Keys that should not be there when nobody is, and all is told and delivered: key -> type."""
        prefix = self.ground.queue
        with self.ground.client() as client:
            names = [name.decode() for name in client.scan_iter(f"{BASE}*")]
            left = [name for name in names if name.removeprefix(BASE) not in LASTING]
            queue = (name.decode() for name in client.scan_iter(f"{prefix}*"))
            # The consumer's own name and lease, and of whom it took over, stay.
            kept = ("consumer:", "consumers", "gone:")
            left += [name for name in queue if not name.removeprefix(prefix).startswith(kept)]
            return {name: client.type(name).decode() for name in sorted(left)}

    def _config(self) -> dict[str, Any]:
        told = ["channel_occupied", "channel_vacated", "member_added", "member_removed"]
        hooks = [{"url": url, "event_types": told} for url in (f"{self.receiver.url}{HOOK}", *self._also)]
        return {
            "database": {"redis": self.ground.config},
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
            "app_manager": {"array": {"apps": [APP | {"webhooks": hooks}, WATCHED]}},
        }
