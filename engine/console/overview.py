"""The cluster at a glance, as the page shows it: one answer, put together from those who know.

Asks the supervisor, Redis, the metric files, and of each other node one worker; of this node no worker is ever asked.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.console.cluster import Cluster
from engine.console.node import NodeLink
from engine.console.nodes import Nodes
from engine.console.other_nodes import OtherNodes
from engine.errors import StoreUnavailable
from engine.metrics import figures
from engine.metrics.metrics import Metrics

#: For the first answers of other nodes.
FIRST_ANSWERS_S = 0.3

_log = logging.getLogger(__name__)


class Overview:
    """:param directory: where the processes keep their numbers.
    :param name: host and port of this node. :param cluster: None where one worker is all that there is.
    :param others: None where there are no others.
    """

    def __init__(
        self, node: NodeLink, directory: Path, name: str, cluster: Cluster | None, others: OtherNodes | None
    ) -> None:
        self._node = node
        self._directory = directory
        self._name = name
        self._cluster = cluster
        self._others = others
        self._families = {family.name: family for family in Metrics().families if family.name in figures.HISTOGRAMS}
        self._nodes = Nodes({name: len(family.bounds) + 1 for name, family in self._families.items()})

    def about(self) -> dict[str, Any]:
        """What does not change: the bounds of the histograms."""
        return {"bounds": {name: list(family.bounds) for name, family in self._families.items()}}

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Somebody looks; only then there is something to `read` of other nodes."""
        if self._others is None:
            yield
            return
        async with self._others.listening():
            ours = len(figures.living(self._directory))
            if await self._others.ask_figures() > ours:
                # So that the first look shows the whole cluster, as those after it do.
                await asyncio.sleep(FIRST_ANSWERS_S)
            yield

    async def read(self) -> dict[str, Any]:
        """As it is now."""
        self._take_others()
        node, found, cluster, _ = await asyncio.gather(
            self._state(), self._read_figures(), self._read_cluster(), self._ask_others()
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
            **self._nodes.look(time.monotonic()),
            "cluster": None if cluster is None else cluster | _others(cluster, ours, leader),
        }

    async def _state(self) -> dict[str, Any]:
        try:
            return asdict(await self._node.state())
        except StoreUnavailable as error:
            return {"trouble": str(error), "slots": 0, "workers": ()}

    async def _read_figures(self) -> figures.Figures:
        found = await asyncio.to_thread(figures.read, self._directory, self._families)
        given = figures.summary(found)
        self._nodes.add(self._directory.name, self._name, time.time() * 1000, given, time.monotonic(), ours=True)
        return found

    async def _ask_others(self) -> None:
        """They answer by the next look."""
        if self._others is not None:
            await self._others.ask_figures()

    def _take_others(self) -> None:
        for answer in self._others.take_figures() if self._others is not None else ():
            try:
                about = answer["life"], answer["node"], answer["time_ms"], answer["figures"]
                self._nodes.add(*about, time.monotonic(), ours=False)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                _log.debug("another node's figures cannot be read: %r", error)

    async def _read_cluster(self) -> dict[str, Any] | None:
        return None if self._cluster is None else await self._cluster.read()


def _others(cluster: dict[str, Any], ours: set[str], leader: str) -> dict[str, Any]:
    """The workers of other nodes, and whether one of them leads."""
    beats = cluster.pop("workers", {})
    others = [{"incarnation": name, "silent_s": age} for name, age in beats.items() if name not in ours]
    return {"others": others, "leader_elsewhere": bool(leader) and leader not in ours, "led": bool(leader)}
