"""Plays one fault before a crowd that comes and goes, with webhooks on, and judges what it did by what is promised.

Breaks nothing itself: `scenes.py` does.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.chaos.cluster import Cluster
from tests.chaos.crowd import Crowd
from tests.chaos.diary import Diary
from tests.chaos.grounds import Shards, Watched
from tests.chaos.judge import Run, what_is_wrong
from tests.chaos.ledger import Ledger
from tests.chaos.node import Node
from tests.chaos.plan import Plan
from tests.faults.endpoint import BadEndpoint
from tests.faults.numbers import Tally, percentile, tally
from tests.faults.watch import Watch
from tests.support.engine import APP
from tests.support.waiting import until

SETTLE_MS, GUESTS, CALM_S, LOOK_EVERY_S = 300, 60, 3.0, 0.25
#: What a fault may take to be over, once it is repaired, on a machine that has nothing else to do; and on any.
WITHIN_S = 60.0
#: Nobody whose worker is well waits longer for a pong, whatever else the machine does.
LONGEST_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Scene:
    """One row.

    :param ground: what it is played on. :param promise: in words.
    :param act: breaks something, and returns when it is repaired.
    :param loses: the shared state may lose what it answered: a webhook may come again, never with an older `seq`.
    :param misses: what is published meanwhile may be heard by the publishing worker's own clients only.
    """

    name: str
    ground: str
    promise: str
    act: Callable[[Stage], Awaitable[None]]
    loses: bool = False
    misses: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What came of a scene. Times in seconds, but for the waits for a pong."""

    scene: Scene
    events: int
    tally: Tally
    webhooks: int
    wrong_webhooks: int
    recovery_s: float
    p99_ms: float
    rest_p99_ms: float
    problems: list[str]

    def cells(self) -> list[str]:
        doubled = self.tally.doubled + self.tally.repeated
        numbers = f"{self.tally.lost} / {self.tally.missed} / {doubled} / {self.tally.disordered}"
        times = (f"{self.recovery_s:.1f}", f"{self.p99_ms:.0f}", f"{self.rest_p99_ms:.0f}")
        verdict = "ok" if not self.problems else f"NOT OK: {'; '.join(self.problems)}"
        webhooks = f"{self.wrong_webhooks} of {self.webhooks}"
        return [self.scene.name, self.scene.promise, str(self.events), numbers, webhooks, *times, verdict]


class Stage:
    """:ivar victims: workers that were harmed; their clients' waits are not others'.
    :ivar remarks: further figures of rows, for below the table.
    """

    def __init__(self, cluster: Cluster, bad: BadEndpoint) -> None:
        self.cluster = cluster
        self.ground = cluster.ground
        self.bad = bad
        self.victims: set[int] = set()
        self.up: list[Node] = list(cluster.nodes)
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self._seed = 0

    async def play(self, scene: Scene) -> Row:
        if isinstance(self.ground, Watched | Shards):
            await until(self.ground.settled, 60)
        self._seed += 1
        self.victims.clear()
        self.problems = []
        self.cluster.receiver.requests.clear()
        diary = Diary()
        plan = dataclasses.replace(
            Plan.of(self._seed, 10, GUESTS),
            **{"settle_ms": SETTLE_MS, "users": GUESTS, "rooms": 20, "presence_rooms": 5, "pause_s": 0.5},
        )
        crowd = Crowd(plan, lambda: [node.engine.ws_url for node in self.up], diary)
        ledger = Ledger(self.cluster.receiver, APP["secret"], scene.loses or self.ground.loses)
        run, watch = Run(plan, self.cluster, crowd, ledger, diary), Watch(self.cluster.nodes)
        crowd.start()
        await watch.start()
        rested_at = time.monotonic()
        await asyncio.sleep(CALM_S)
        broken_at = time.monotonic()
        try:
            await scene.act(self)
            repaired_at = time.monotonic()
            await crowd.rest()
            self.problems += await _until_right(run, "after the repair")
            right_at = time.monotonic()
            await asyncio.sleep(1)
            await watch.stop()
            await crowd.leave()
            self.problems += await _until_right(run, "after all have left")
            if left := await self._leftovers():
                self.problems.append(f"keys that nobody needs: {left}")
        finally:
            crowd.close()
        waits = watch.waits(broken_at, right_at, self.victims)
        found = tally(watch.sent, (ear.session for ear in watch.ears), (broken_at, right_at))
        wrong = [fault for story in ledger.wrong_stories().values() for fault in story] + ledger.faults
        self.problems += [f"a guest was told {refusal}" for refusal in crowd.refusals[:3]]
        self.problems += wrong[:3]
        if found.lost or found.doubled or found.disordered:
            self.problems.append("events")
        if (found.missed and not scene.misses) or found.repeated:
            self.problems.append("events of the outage")
        if max(waits, default=0.0) > LONGEST_WAIT_S:
            self.problems.append(f"somebody waited {max(waits):.1f} s for a pong")
        return Row(
            scene=scene,
            events=len(watch.sent),
            tally=found,
            webhooks=ledger.counts["events"],
            wrong_webhooks=len(wrong),
            recovery_s=right_at - repaired_at,
            p99_ms=percentile(waits, 0.99) * 1000,
            rest_p99_ms=percentile(watch.waits(rested_at, broken_at, set()), 0.99) * 1000,
            problems=self.problems,
        )

    async def _leftovers(self) -> dict[str, str]:
        end = time.monotonic() + WITHIN_S
        while (left := await asyncio.to_thread(self.cluster.leftovers)) and time.monotonic() < end:
            await asyncio.sleep(LOOK_EVERY_S)
        return left


async def _until_right(run: Run, when: str) -> list[str]:
    """What is still wrong when it is no use to wait any longer."""
    end = time.monotonic() + WITHIN_S
    while wrong := await what_is_wrong(run):
        if time.monotonic() > end:
            return [f"{WITHIN_S:g} s {when}: {wrong[0]}"]
        await asyncio.sleep(LOOK_EVERY_S)
    return []
