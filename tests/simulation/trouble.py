"""What happens to a simulated cluster: clients come and go, and everything that can go wrong does, as the plan says."""

from __future__ import annotations

from engine._fast.member import Member
from tests.simulation.node import Node
from tests.simulation.plan import MAX_NODES, PLAIN, PRESENCE, USERS
from tests.simulation.world import World


class Trouble:
    """Acts on the world until it is told that all is calm."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plan = world.plan
        self._chance = world.chance
        self._sockets = 0

    def start(self) -> None:
        self._world.at(0.01, self._act)

    def _act(self) -> None:
        if self._world.calm:
            return
        weights = self._plan.weights
        [action] = self._chance.choices(list(weights), list(weights.values()))
        getattr(self, f"_{action}")()
        self._world.at(self._chance.expovariate(1 / self._plan.every_s), self._act)

    # --- clients

    def _subscribe(self) -> None:
        if node := self._some_node():
            channel = self._chance.choice(PLAIN + PRESENCE)
            self._come(node, channel, self._chance.choice(USERS) if channel in PRESENCE else "")

    def _unsubscribe(self) -> None:
        if (node := self._some_node()) and node.subscriptions:
            node.unsubscribe(self._chance.choice(node.subscriptions))

    def _move(self) -> None:
        """A page is loaded anew: gone here, back there, within the settling time or not."""
        if not ((node := self._some_node()) and node.subscriptions):
            return
        subscription = self._chance.choice(node.subscriptions)
        node.unsubscribe(subscription)
        user = subscription.member.user_id if subscription.member else ""

        def come_back() -> None:
            if not self._world.calm and (other := self._some_node()):
                self._come(other, subscription.channel, user)

        self._world.at(self._chance.choice([0.0, 0.05, 0.5, 4.0]) * self._chance.random(), come_back)

    def _crowd(self) -> None:
        """Several come to one place at one time."""
        if node := self._some_node():
            channel = self._chance.choice(PLAIN[:2] + PRESENCE[1:])
            for _ in range(self._chance.randint(2, 5)):
                self._come(node, channel, self._chance.choice(USERS) if channel in PRESENCE else "")

    def _come(self, node: Node, channel: str, user: str) -> None:
        self._sockets += 1
        self._world.note(f"client {self._sockets} goes to {node.name}: {channel} {user}")
        limit = self._plan.limit if channel == PLAIN[1] else 0
        member_limit = self._plan.member_limit if channel == PRESENCE[1] else 0
        member = Member(user, '{"n":1}', f"1.{self._sockets}", "{}", member_limit) if user else None
        node.subscribe(channel, member, limit)

    # --- workers

    def _join(self) -> None:
        """One more of them than there were."""
        if len(self._world.living()) < MAX_NODES:
            self._world.spawn()

    def _kill(self) -> None:
        if node := self._some_node():
            self._world.kill(node)

    def _drain(self) -> None:
        if (node := self._some_node()) and node.serving and not node.draining:
            self._world.note(f"{node.name} is told to end")
            node.drain()

    def _false_death(self) -> None:
        """Its supervisor errs."""
        if node := self._some_node():
            self._world.declare_dead(node)

    def _stop(self) -> None:
        if node := self._some_node():
            self._world.stop(node, self._while())

    def _cut(self) -> None:
        if node := self._some_node():
            self._world.cut(node, self._while())

    def _step_worker_clock(self) -> None:
        if node := self._some_node():
            node.clock_step_s += (step_s := self._chance.choice([10, 100]) * self._chance.uniform(-1, 1))
            self._world.note(f"the clock of {node.name} steps by {step_s:.1f} s")

    # --- the server

    def _down(self) -> None:
        self._world.take_down(self._while())

    def _empty(self) -> None:
        self._world.empty(self._chance.choice([0.0, 1.0]) * self._chance.random())

    def _fail_over(self) -> None:
        self._world.fail_over(self._chance.choice([0.0, 1.0]) * self._chance.random())

    def _revive(self) -> None:
        if node := self._some_node():
            self._world.revive(node)

    def _expire_lease(self) -> None:
        self._world.expire_lease()

    def _step_clock(self) -> None:
        self._world.step_clock(self._chance.uniform(-10, 10))

    # --- chance

    def _some_node(self) -> Node | None:
        living = self._world.living()
        return self._chance.choice(living) if living else None

    def _while(self) -> float:
        """A moment; about a lease; about as long as a silent worker is believed to live."""
        longest = self._chance.choice([0.3, 1.5 * self._plan.lease_ms / 1000, 1.5 * self._plan.node_timeout_ms / 1000])
        return longest * self._chance.random()
