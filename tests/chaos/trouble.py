"""Does to the cluster what the plan says: kills, stops and restarts, and an endpoint of many moods."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator
from random import Random

from tests.chaos.cluster import HOOK, Cluster
from tests.chaos.diary import Diary
from tests.chaos.node import Node, send
from tests.chaos.plan import Fault, Mood, Plan
from tests.support.receiver import Answer

#: How often a fault looks for its victim, before it does without.
LOOKS, LOOK_EVERY_S = 20, 0.1
#: Between two losses of the lease; and time for the next leader to get to work, while the last one is stopped.
LOSE_EVERY_S, STILL_S = 0.1, 0.5
LOSE_FOR_S = 3.0

#: What the endpoint answers in which mood.
WAYS: dict[str, tuple[Answer, ...]] = {
    "well": (200,),
    "fails": (500,),
    "hangs": ("hang",),
    "drops": ("drop",),
    "deaf": ("deaf",),
    "breaks": ("break",),
    "mixed": (500, "hang", "drop", "deaf", "break"),
}


class Trouble:
    """`up` are the nodes that are not killed at the moment."""

    def __init__(self, plan: Plan, cluster: Cluster, diary: Diary) -> None:
        self._plan = plan
        self._cluster = cluster
        self._diary = diary
        self._stopped: set[int] = set()
        self._valkey = asyncio.Lock()
        self.up: list[Node] = list(cluster.nodes)

    async def run(self) -> None:
        """Everything that the plan says; returns when all is repaired again."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._moods())
            began = asyncio.get_running_loop().time()
            for fault in self._plan.faults:
                await asyncio.sleep(began + fault.at_s - asyncio.get_running_loop().time())
                group.create_task(getattr(self, f"_{fault.kind}")(fault), name=fault.kind)

    # --- workers

    async def _kill_leader(self, fault: Fault) -> None:
        await self._kill("leader", await self._leader())

    async def _kill_worker(self, fault: Fault) -> None:
        await self._kill("worker", await self._some_worker(fault))

    async def _stop_leader(self, fault: Fault) -> None:
        await self._stop("leader", await self._leader(), fault)

    async def _stop_worker(self, fault: Fault) -> None:
        await self._stop("worker", await self._some_worker(fault), fault)

    async def _kill(self, who: str, pid: int | None) -> None:
        if pid is None:
            self._diary.note(f"no {who} to kill")
            return
        self._did(f"{who} killed", f"pid {pid}")
        send(pid, signal.SIGKILL)

    async def _stop(self, who: str, pid: int | None, fault: Fault) -> None:
        if pid is None or pid in self._stopped:
            self._diary.note(f"no {who} to stop")
            return
        self._did(f"{who} stopped", f"pid {pid} for {fault.for_s:.1f} s")
        async with self._standing_still(pid):
            await asyncio.sleep(fault.for_s)
        self._diary.note(f"pid {pid} goes on")

    async def _lose_lease(self, fault: Fault) -> None:
        """Again and again: others lead, and who led learns of it late. Now and then it stands still meanwhile."""
        for_s = max(fault.for_s, LOSE_FOR_S)
        self._did("lease lost", f"again and again, for {for_s:.1f} s")
        end = asyncio.get_running_loop().time() + for_s
        for n in itertools.count():
            pid = await self._leader() if n % 5 == 4 else None
            if pid is None or pid in self._stopped:
                await self._expire_lease()
                await asyncio.sleep(LOSE_EVERY_S)
            else:
                async with self._standing_still(pid):
                    await self._expire_lease()
                    await asyncio.sleep(STILL_S)
            if asyncio.get_running_loop().time() >= end:
                return

    async def _expire_lease(self) -> None:
        async with self._valkey:
            if await asyncio.to_thread(self._cluster.expire_lease):
                self._diary.count("leases lost")

    @contextlib.asynccontextmanager
    async def _standing_still(self, pid: int) -> AsyncIterator[None]:
        self._stopped.add(pid)
        send(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self._stopped.discard(pid)
            # It may have been killed meanwhile, and its number may be another's.
            if pid in self._cluster.workers():
                send(pid, signal.SIGCONT)

    async def _kill_node(self, fault: Fault) -> None:
        if len(self.up) < len(self._cluster.nodes):
            self._diary.note("no node to kill: one is down already")
            return
        node = self.up.pop(int(fault.choice * len(self.up)))
        self._did("node killed", f"{node.name} with workers {node.engine.workers()}")
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(min(fault.for_s, 3.0))
        await asyncio.to_thread(node.start)
        self._diary.note(f"node {node.name} starts again")
        await asyncio.to_thread(node.wait_ready)
        self._diary.note(f"node {node.name} is ready")
        self.up.append(node)

    # --- Valkey

    async def _kill_valkey(self, fault: Fault) -> None:
        async with self._valkey:
            self._did("Valkey killed", f"for {fault.for_s:.1f} s")
            await asyncio.to_thread(self._cluster.ground.kill)
            await self._start_valkey(fault)

    async def _restart_valkey(self, fault: Fault) -> None:
        async with self._valkey:
            self._did("Valkey restarted", f"after {fault.for_s:.1f} s")
            await asyncio.to_thread(self._cluster.ground.shut_down)
            await self._start_valkey(fault)

    async def _pause_valkey(self, fault: Fault) -> None:
        async with self._valkey:
            self._did("Valkey stopped", f"for {fault.for_s:.1f} s")
            self._cluster.ground.pause()
            await asyncio.sleep(fault.for_s)
            self._cluster.ground.resume()

    async def _start_valkey(self, fault: Fault) -> None:
        await asyncio.sleep(fault.for_s)
        await asyncio.to_thread(self._cluster.ground.bring_back)
        self._diary.note("Valkey is back")

    # --- the endpoint

    async def _moods(self) -> None:
        began = asyncio.get_running_loop().time()
        for mood in self._plan.moods:
            await asyncio.sleep(began + mood.at_s - asyncio.get_running_loop().time())
            self._did(f"endpoint {mood.name}", f"{mood.share:.0%} of requests")
            self._cluster.receiver.answer(path=HOOK, always=_Moody(mood, self._plan.seed))
        await asyncio.sleep(max(0.0, began + self._plan.seconds - asyncio.get_running_loop().time()))
        self._cluster.receiver.answer(path=HOOK, always=200)
        self._diary.note("the endpoint takes everything")

    # --- whom

    async def _leader(self) -> int | None:
        for _ in range(LOOKS):
            async with self._valkey:
                if (pid := await asyncio.to_thread(self._cluster.leader)) is not None:
                    return pid
            await asyncio.sleep(LOOK_EVERY_S)
        return None

    async def _some_worker(self, fault: Fault) -> int | None:
        workers = await asyncio.to_thread(self._cluster.workers)
        return workers[int(fault.choice * len(workers))] if workers else None

    def _did(self, what: str, more: str) -> None:
        self._diary.count(what)
        self._diary.note(f"{what}: {more}")


class _Moody:
    """What the endpoint answers in one mood; called from the receiver's thread."""

    def __init__(self, mood: Mood, seed: int) -> None:
        self._share = mood.share
        self._ways = itertools.cycle(WAYS[mood.name])
        self._chance = Random(f"mood {seed} {mood.at_s}")

    def __call__(self) -> Answer:
        return next(self._ways) if self._chance.random() < self._share else 200
