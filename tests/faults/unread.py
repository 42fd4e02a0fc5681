"""The fault of clients that stop reading: 50 of 1,000 subscribers of one channel, who are in processes of their own.

Knows what the engine promises of them, and what the others must not notice.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from functools import partial
from subprocess import PIPE, Popen
from typing import Any

from tests.chaos.cluster import WATCHED
from tests.chaos.node import Node
from tests.crowd.clients import CHANNEL
from tests.faults.stage import LONGEST_WAIT_S, WITHIN_S, Stage
from tests.soak.figures import memory
from tests.support.engine import ROOT
from tests.support.waiting import until

CLIENTS, DEAF = 1000, 50
EVENT_BYTES, BATCH, EVENTS_BEFORE, EVENTS_AFTER = 9000, 10, 40, 40
#: As shipped: `websocket.max_backpressure`.
MAY_WAIT_BYTES = 1 << 20
#: What the kernel may take besides for a socket that nobody reads, by net.ipv4.tcp_wmem.
KERNEL_BYTES = 4 << 20
#: That much of what is on its way to those who read may wait for them, and for a machine that has other things to do.
EVENTS_AHEAD = 20
PATIENCE_S = 120.0
_SLOW = re.compile(r"^sockudo_slow_consumers_total(?:\{[^}]*\})? (\S+)$", re.MULTILINE)


class Subscribers:
    """A process of them at one node."""

    def __init__(self, node: Node, count: int, number: int) -> None:
        words = [str(node.engine.port), WATCHED["key"], str(count), f"127.0.2.{number + 1}"]
        command = [sys.executable, "-m", "tests.faults.readers", *words]
        self._process = Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True)

    async def up(self) -> None:
        assert await asyncio.to_thread(self._line) == "up\n", "a subscriber could not come"

    async def ask(self, words: str) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        return json.loads(await asyncio.to_thread(self._line))

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


async def some_stop_reading(stage: Stage) -> None:
    nodes = stage.cluster.nodes
    crowds = [Subscribers(node, CLIENTS // len(nodes), number) for number, node in enumerate(nodes)]
    try:
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(crowd.up() for crowd in crowds))
        await _Play(stage, crowds).run()
    finally:
        for crowd in crowds:
            crowd.end()


class _Play:
    def __init__(self, stage: Stage, crowds: list[Subscribers]) -> None:
        self._stage, self._crowds, self._nodes = stage, crowds, stage.cluster.nodes
        self._number = 0
        self._most_bytes = 0

    async def run(self) -> None:
        slow_before = await self._slow()
        await self._publish(EVENTS_BEFORE)
        p99_before_s, _ = await self._delays()
        memory_before = self._most_bytes = self._memory()
        await self._all(f"deaf {DEAF // len(self._crowds)}")
        began_s, first = time.monotonic(), self._number
        at_most = first + (MAY_WAIT_BYTES + KERNEL_BYTES) // EVENT_BYTES
        while await self._slow() - slow_before < DEAF and self._number < at_most:
            await self._publish(BATCH)
        cut_off_s, events = time.monotonic() - began_s, self._number - first
        await self._publish(EVENTS_AFTER)
        await self._heard(self._number)
        p99_s, longest_s = await self._delays()
        grown = self._most_bytes - memory_before
        await self._judge(await self._slow() - slow_before, longest_s, grown)
        self._stage.remarks.append(
            f"{DEAF} of {CLIENTS:,} clients stop reading: cut off after {events} events of {EVENT_BYTES:,} bytes, "
            f"within {cut_off_s:.1f} s; the others heard all {self._number}, 99 of 100 within {p99_s * 1000:.0f} ms, "
            f"before it within {p99_before_s * 1000:.0f} ms; the workers had {grown / 2**20:.1f} MiB more at the most"
        )

    async def _judge(self, slow: int, longest_s: float, grown: int) -> None:
        problems = self._stage.problems
        if slow != DEAF:
            problems.append(f"{slow} of {DEAF} were counted as slow")
        heard = await self._all("heard")
        if wrong := sum(each["wrong"] for each in heard):
            problems.append(f"who reads missed events, or had them twice: {wrong}")
        if lost := sum(each["lost"] for each in heard):
            problems.append(f"{lost} who read were cut off")
        if longest_s > LONGEST_WAIT_S:
            problems.append(f"who reads waited {longest_s:.1f} s for an event")
        # What waits for each of them, and as much again for how an allocator finds room.
        if grown > 2 * DEAF * MAY_WAIT_BYTES:
            problems.append(f"the workers' memory has grown by {grown / 2**20:.1f} MiB")
        try:
            await until(self._only_readers_are_left, WITHIN_S)
        except AssertionError:
            problems.append(
                f"{WITHIN_S:g} s later sockets that nobody reads are still there, or are counted as subscribers"
            )

    async def _publish(self, count: int) -> None:
        """:param count: a multiple of `BATCH`."""
        app = {"app_id": WATCHED["id"], "key": WATCHED["key"], "secret": WATCHED["secret"]}
        for _ in range(0, count, BATCH):
            numbers = range(self._number, self._number + BATCH)
            data = [f"{number} {time.monotonic()} ".ljust(EVENT_BYTES, "x") for number in numbers]
            batch = {"batch": [{"name": "e", "channel": CHANNEL, "data": each} for each in data]}
            publish = partial(self._nodes[0].engine.request, "POST", "/batch_events", batch, **app)
            answer = await asyncio.to_thread(publish)
            assert answer.status == 200, answer
            self._number += BATCH
            self._most_bytes = max(self._most_bytes, self._memory())
            await self._heard(self._number - EVENTS_AHEAD)

    async def _heard(self, number: int) -> None:
        """Wait until all who read have heard so many."""

        async def have_all() -> bool:
            return all(each["next"] >= number or each["lost"] for each in await self._all("heard"))

        await until(have_all, PATIENCE_S, f"event {number} at all who read")

    async def _delays(self) -> tuple[float, float]:
        """(the 99th percentile, the longest) since it was asked last, of the process that fared worse."""
        found = await self._all("delays")
        return max(each["p99"] for each in found), max(each["longest"] for each in found)

    async def _only_readers_are_left(self) -> bool:
        path, query = f"/channels/{CHANNEL}", {"info": "subscription_count"}
        app = {"app_id": WATCHED["id"], "key": WATCHED["key"], "secret": WATCHED["secret"]}
        for node in self._nodes:
            answer = await asyncio.to_thread(partial(node.engine.request, "GET", path, params=query, **app))
            if answer.json.get("subscription_count") != CLIENTS - DEAF:
                return False
        return sum(await self._all("ended")) == DEAF

    async def _all(self, words: str) -> list[Any]:
        return await asyncio.gather(*(crowd.ask(words) for crowd in self._crowds))

    async def _slow(self) -> int:
        pages = [await asyncio.to_thread(node.engine.metrics) for node in self._nodes]
        return sum(int(float(value)) for page in pages for value in _SLOW.findall(page))

    def _memory(self) -> int:
        return sum(memory(node.engine) for node in self._nodes)
