"""The node and its cluster at a glance, as the page shows them: one answer, put together from those who know.

Asks the supervisor, Redis and the metric files; no worker is ever asked.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.console.cluster import Cluster
from engine.console.node import NodeLink
from engine.errors import StoreUnavailable
from engine.metrics import figures
from engine.metrics.metrics import Metrics


class Overview:
    """:param directory: where the processes keep their numbers.
    :param cluster: None where one worker is all that there is.
    """

    def __init__(self, node: NodeLink, directory: Path, cluster: Cluster | None) -> None:
        self._node = node
        self._directory = directory
        self._cluster = cluster
        self._families = {family.name: family for family in Metrics().families if family.name in figures.HISTOGRAMS}

    def about(self) -> dict[str, Any]:
        """What does not change: the bounds of the histograms."""
        return {"bounds": {name: list(family.bounds) for name, family in self._families.items()}}

    async def read(self) -> dict[str, Any]:
        """As it is now."""
        node, found, cluster = await asyncio.gather(
            self._state(), asyncio.to_thread(figures.read, self._directory, self._families), self._read_cluster()
        )
        leader = cluster.pop("leader", "") if cluster else ""
        for worker in node["workers"]:
            worker |= found.workers.get(str(worker["place"]), {})
            # One worker alone leads itself.
            worker["leads"] = worker["ready"] if cluster is None else bool(leader) and worker["incarnation"] == leader
        ours = {worker["incarnation"] for worker in node["workers"]}
        return {
            "time_ms": time.time_ns() // 1_000_000,
            "node": node,
            "sums": found.sums,
            "apps": found.apps,
            "buckets": found.buckets,
            "endpoints": found.endpoints,
            "cluster": None if cluster is None else cluster | _others(cluster, ours, leader),
        }

    async def _state(self) -> dict[str, Any]:
        try:
            return asdict(await self._node.state())
        except StoreUnavailable as error:
            return {"trouble": str(error), "slots": 0, "workers": ()}

    async def _read_cluster(self) -> dict[str, Any] | None:
        return None if self._cluster is None else await self._cluster.read()


def _others(cluster: dict[str, Any], ours: set[str], leader: str) -> dict[str, Any]:
    """The workers of other nodes, and whether one of them leads."""
    beats = cluster.pop("workers", {})
    others = [{"incarnation": name, "silent_s": age} for name, age in beats.items() if name not in ours]
    return {"others": others, "leader_elsewhere": bool(leader) and leader not in ours, "led": bool(leader)}
