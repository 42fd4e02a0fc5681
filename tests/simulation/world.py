"""The simulated cluster: one clock, one queue of events, one source of chance. Runs workers, network and server.

Given the same seed and the same source, everything happens again exactly.
"""

from __future__ import annotations

import heapq
import itertools
import random
import re
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from engine.app import Filter
from engine.app_manager import AppManager
from engine.webhooks.interest import InterestOfApps
from tests.simulation.excuses import Excuses
from tests.simulation.lives import Lives, Violation
from tests.simulation.mutation import Mutation
from tests.simulation.node import Node
from tests.simulation.oracle import Oracle, State
from tests.simulation.plan import APP, JOBS, PREFIX, TOPICS, Plan
from tests.simulation.server import NAMES, Server, Snapshot, script_of
from tests.simulation.surroundings import Clocks, given
from tests.simulation.wire import Client, Peer, Wire
from tests.support.stories import COMES, GOES
from tests.webhooks.making import make_app, make_endpoint

START_S = 1000.0
#: Between virtual seconds and the server's clock.
EPOCH_US = 1_700_000_000_000_000
BASE = PREFIX + "{0}:"
#: Time from the death of a worker to its supervisor's word, and until another one has started.
DECLARED_S = (0.01, 0.4)
RESPAWN_S = (0.1, 2.0)
#: Scripts in one run; some hundreds are usual.
MAX_STEPS = 20_000


class World:
    """:param path: the unix socket of a Valkey of the simulation's own. :param say: gets each line of the schedule."""

    def __init__(
        self, plan: Plan, path: str, mutation: Mutation | None = None, say: Callable[[str], None] | None = None
    ) -> None:
        self.plan = plan
        self.now = START_S
        self.chance = random.Random(f"world {plan.seed}")
        self.oracle = Oracle(Lives(plan.node_timeout_ms / 1000))
        self.nodes: list[Node] = []
        self.calm = False
        self.excuses = Excuses(self.oracle)
        self._replica: tuple[State, Snapshot] = State(), Snapshot()
        #: Incarnations whose purge the replica shall miss; while one is under way it hears of nothing.
        self._to_revive: set[str] = set()
        self._replica_lags = False
        self.steps = 0
        self._say = say
        #: Whose code runs now.
        self._acting: Node | None = None
        self._clock_step_us = 0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._names = (f"w{n}" for n in itertools.count(1))
        self.server = Server(path, BASE, TOPICS, JOBS, mutation)
        self._mutation = mutation
        self._shas = {script.source: script.sha for script in map(script_of, NAMES)}
        self.wire = Wire(self, self.chance, self.server.names)
        self.wire.weather = plan.weather
        endpoint = make_endpoint(
            event_types=frozenset(COMES + GOES), filter=Filter(channel_pattern=re.compile("^(room|presence)-"))
        )
        self._apps = AppManager([make_app(endpoint, app_id=APP)])
        self._interest_of = InterestOfApps(self._apps, plan.settle_ms)

    def __enter__(self) -> World:
        self._open = ExitStack()
        self._open.callback(self.server.close)
        if self._mutation is not None:
            self._open.enter_context(self._mutation.applied())
        self._open.enter_context(given(self.plan, Clocks(lambda: self.now, self._wall_us)))
        for _ in range(self.plan.nodes):
            self.spawn()
        if self.plan.weights["fail_over"]:
            self.replicate()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.loop.forget()
        self._open.close()

    # --- time

    def at(self, delay_s: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now + delay_s, next(self._numbers), action))

    def run(self, until_s: float, done: Callable[[], bool] | None = None) -> bool:
        """Let things happen until then, or until `done`; whether it was."""
        while True:
            for node in self.nodes:
                if not node.stopped and not node.dead:
                    self._acting = node
                    node.loop.run()
                    if node.loop.errors:
                        raise Violation(f"{node.name}: {node.loop.errors[0]}")
            self._reap()
            if done is not None and done():
                return True
            next_s = self._next()
            if next_s > until_s:
                self.now = until_s
                return False
            self.now = max(self.now, next_s)
            while self._events and self._events[0][0] <= self.now:
                heapq.heappop(self._events)[2]()

    def note(self, text: str) -> None:
        if self._say is not None:
            self._say(f"{self.now - START_S:9.4f}  {text}")

    def _wall_us(self) -> int:
        step_s = self._acting.clock_step_s if self._acting is not None else 0.0
        return int((self.now + step_s) * 1e6) + EPOCH_US

    def _next(self) -> float:
        times = [self._events[0][0]] if self._events else []
        for node in self.nodes:
            if not node.stopped and not node.dead and (timer := node.loop.next_timer()) is not None:
                times.append(timer)
        return min(times, default=float("inf"))

    # --- the server

    def script(self, who: str, name: str, args: tuple[Any, ...]) -> Any:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise Violation(f"{MAX_STEPS} scripts, and no end")
        done = self.server.run(name, self.now, int(self.now * 1e6) + EPOCH_US + self._clock_step_us, args)
        if self._say is not None:
            self.note(f"{who}: {name.removeprefix('occupancy_')} {_shown(done.args[1:])} -> {done.reply}")
        self.oracle.check(done)
        if name == "occupancy_purge" and done.reply >= 0:
            self._purged(done.args[2].decode(), done.reply == 0)
        for topic, _ in done.pushed:
            if topic == f"{TOPICS}wake".encode():
                for node in self.living():
                    self.at(self.chance.expovariate(2000), lambda node=node: self._push(node))
        return done.reply

    def plain(self, *command: Any) -> Any:
        return self.server.plain(self.now, *command)

    def sent(self, peer: Peer, name: str) -> None:
        """The worst moment for its sender: a command is under way."""
        if self.calm or not isinstance(peer, Node):
            return
        if self.chance.random() < self.plan.fatal:
            self.note(f"{peer.name} dies with {name} under way")
            self.at(0, lambda: self.kill(peer))
        elif self.chance.random() < self.plan.stopping:
            self.stop(peer, self.chance.uniform(0.8, 2.0) * self.plan.lease_ms / 1000)
        elif self.chance.random() < self.plan.expiring:
            self.expire_lease()
            for node in self.living():
                if node is not peer:
                    self._push(node)
        if name == "occupancy_purge" and self.chance.random() < self.plan.waking:
            for node in self.living():
                node.stopped = node.cut = False

    def _push(self, node: Node) -> None:
        if not (node.dead or node.cut or self.wire.down):
            node.wake()

    # --- workers

    def living(self) -> list[Node]:
        return [node for node in self.nodes if not node.dead]

    def spawn(self) -> None:
        node = Node(
            next(self._names),
            self.plan,
            self._apps,
            self._interest_of,
            lambda peer: Client(self.wire, peer, self._shas),
            lambda: self.now,
        )
        self.note(f"{node.name} starts as {node.reporter.incarnation}")
        self.nodes.append(node)
        node.start()

    def kill(self, node: Node) -> None:
        if node.dead:
            return
        self.note(f"{node.name} is killed holding {node.facts()}")
        node.dead = True

    def stop(self, node: Node, seconds: float) -> None:
        if node.stopped or node.dead:
            return
        self.note(f"{node.name} is stopped for {seconds:.2f} s")
        node.stopped = True

        def resume() -> None:
            self.note(f"{node.name} goes on")
            node.stopped = False

        self.at(seconds, resume)

    def cut(self, node: Node, seconds: float) -> None:
        if node.cut:
            return
        self.note(f"{node.name} is cut off for {seconds:.2f} s")
        node.cut = True

        def heal() -> None:
            self.note(f"{node.name} is back on the network")
            node.cut = False
            node.reconnected()

        self.at(seconds, heal)

    def _reap(self) -> None:
        """What a supervisor does when its worker has ended."""
        for node in [node for node in self.nodes if node.dead]:
            self.nodes.remove(node)
            node.loop.forget()
            self.note(f"{node.name} has ended")
            self.excuses.died(node.name, node.facts())
            if self.calm or self.chance.random() < 0.7:
                delay_s = DECLARED_S[0] if self.calm else self.chance.uniform(*DECLARED_S)
                self.at(delay_s, lambda node=node: self.declare_dead(node))
            if not self.calm or not self.nodes:
                self.at(self.chance.uniform(*RESPAWN_S), self._respawn)

    def _respawn(self) -> None:
        # Others may have joined meanwhile.
        if len(self.living()) < (self.plan.nodes if not self.calm else 1):
            self.spawn()

    def declare_dead(self, node: Node) -> None:
        if not self.wire.down:
            self.script(f"supervisor of {node.name}", "occupancy_leave", (TOPICS, node.known_as))

    # --- the server's troubles

    def take_down(self, seconds: float) -> None:
        if self.wire.down:
            return
        self.note(f"the server is down for {seconds:.2f} s")
        self.wire.down = True
        self.wire.forget_scripts()

        def bring_back() -> None:
            self.note("the server is back")
            self.oracle.lives.away(self.now, seconds)
            self.wire.down = False
            for node in self.nodes:
                node.reconnected()

        self.at(seconds, bring_back)

    def empty(self, seconds: float) -> None:
        """The server restarts without data."""
        self.note("the server loses all data")
        self._lose(State(), Snapshot(), seconds)

    def fail_over(self, seconds: float) -> None:
        """A replica takes its place that has not heard of what was written lately."""
        self.note("the server is replaced by a replica that lags")
        self._lose(*self._replica, seconds)
        self._replica_lags = False

    def revive(self, node: Node) -> None:
        """It stands still until it is given up; then a replica takes over for which nothing has happened."""
        self._to_revive.add(node.reporter.incarnation)
        self.stop(node, self.chance.uniform(1.2, 1.7) * self.plan.node_timeout_ms / 1000)

    def _purged(self, incarnation: str, wholly: bool) -> None:
        if self.calm or incarnation not in self._to_revive:
            return
        self._replica_lags = True
        if wholly:
            self._to_revive.remove(incarnation)
            self.at(self.chance.uniform(0.02, 0.3), lambda: self.calm or self.fail_over(0.0))

    def replicate(self) -> None:
        """The replica has caught up."""
        if not self.calm:
            if not self._replica_lags:
                self._replica = self.oracle.state(), self.server.snapshot()
            self.at(self.chance.uniform(0.05, 1.0), self.replicate)

    def _lose(self, state: State, data: Snapshot, seconds: float) -> None:
        self.take_down(seconds)
        self.excuses.lost({node.reporter.incarnation: node.name for node in self.living()}, state)
        self.oracle.lost(state)
        self.server.restore(data)

    def expire_lease(self) -> None:
        self.note("the lease is lost")
        self.server.expire_lease()

    def step_clock(self, seconds: float) -> None:
        self.note(f"the server's clock steps by {seconds:.1f} s")
        self._clock_step_us += int(seconds * 1e6)


def _shown(args: tuple[bytes, ...]) -> str:
    text = b" ".join(args).decode("utf-8", "replace")
    return text if len(text) < 200 else text[:200] + "..."
