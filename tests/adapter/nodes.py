"""Workers' adapters with their hubs, as the tests of this folder use them on one server and on a cluster."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from engine.adapter.cluster import ClusterAdapter
from engine.adapter.redis import RedisAdapter
from engine.config.redis import RedisOptions
from engine.interfaces import MemberChange, TotalChange
from tests._fast.pair import Bench, bench


class Node:
    """One worker's hub and adapter."""

    def __init__(self, hub_bench: Bench, options: RedisOptions, prefix: str, fallback: bool = True) -> None:
        self.bench = hub_bench
        self.members: list[MemberChange] = []
        self.totals: list[TotalChange] = []
        self.terminated: list[tuple[str, str, bool]] = []
        self.wakes = 0
        self.states: list[bool] = []
        callbacks: dict[str, Any] = {
            "on_member_change": self.members.append,
            "on_total_change": self.totals.append,
            "on_terminate": lambda *user: self.terminated.append(user),
            "on_wake": self._wake,
            "on_change": self.states.append,
        }
        if options.nodes:
            self.adapter: RedisAdapter = ClusterAdapter(
                hub_bench.hub, options, prefix, fallback, announced=lambda _, name: name == "counted", **callbacks
            )
        else:
            self.adapter = RedisAdapter(hub_bench.hub, options, prefix, fallback, **callbacks)

    def _wake(self) -> None:
        self.wakes += 1

    async def subscribe(self, channel: str) -> None:
        done = asyncio.Event()
        self.adapter.subscribe("app", channel, done.set)
        await asyncio.wait_for(done.wait(), 5)


def run(options: RedisOptions, scene: Callable[..., Awaitable[None]], nodes: int = 2, fallback: bool = True) -> None:
    async def play() -> None:
        prefix = f"t-{uuid.uuid4().hex}:"
        async with bench() as one, bench() as two:
            made = [Node(b, options, prefix, fallback) for b in (one, two)[:nodes]]
            try:
                for node in made:
                    await node.adapter.start()
                await scene(prefix, *made)
            finally:
                for node in made:
                    await node.adapter.stop()

    uvloop.run(play())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
