"""What one seed stands for: how many workers, which times, which misfortunes and how often. Nothing else is random.

Not every seed has every kind of fault: some faults hide behind others.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.simulation.wire import Weather
from tests.webhooks.making import Batches

APP = "app"
PREFIX = "sim:"
TOPICS = "topic:"
JOBS = "jobs"
#: Channels that some webhook wants, one that none wants, one that clients never see.
PLAIN = ("room-a", "room-b", "quiet-c", "#server-to-user-7")
PRESENCE = ("presence-x", "presence-y")
#: Workers at one time.
MAX_NODES = 5
USERS = ("u1", "u2", "u3", "u4")
#: Seconds of trouble; after it everything must come right.
TROUBLE_S = 12.0
#: Within so long: a dead worker's silence, a lease, the settling time, a command that comes late, a reconciliation.
CALM_S = 45.0


@dataclass(frozen=True, slots=True)
class Plan:
    """:param every_s: mean time between actions. :param weights: action -> how often, relatively.
    :param fatal: chance that the sender of a command is killed while it is under way. :param stopping: that it is
    stopped, for longer than its lease. :param expiring: that the lease is lost then. :param loses: whether the server
    loses its data now and then, or is replaced by a replica that lags.
    :param waking: chance that whoever is stopped or cut off goes on just as somebody is purged.
    :param slices: how much is done at one time; 0 is as in the engine.
    """

    seed: int
    nodes: int
    settle_ms: int
    batching: Batches
    weather: Weather
    every_s: float
    weights: dict[str, float]
    fatal: float
    stopping: float
    expiring: float
    waking: float
    loses: bool
    limit: int
    member_limit: int
    slices: int
    heartbeat_s: float = 0.5
    node_timeout_ms: int = 3000
    lease_ms: int = 2000
    look_every_s: float = 0.5
    reconcile_s: float = 5.0
    converge_s: float = 2.0

    @classmethod
    def of(cls, seed: int, *, loses: bool | None = None) -> Plan:
        """:param loses: demand that the server loses data, or that it does not; left to the seed if None."""
        chance = Random(f"plan {seed}")

        def sometimes(value: float) -> float:
            return value * chance.random() if chance.random() < 0.5 else 0.0

        if loses is None:
            loses = chance.random() < 0.25
        weights = {
            "subscribe": 10.0,
            "unsubscribe": 9.0,
            "move": 4.0,
            "crowd": sometimes(1.0),
            "join": sometimes(0.5),
            "kill": sometimes(1.0),
            "drain": sometimes(0.5),
            "false_death": sometimes(0.3),
            "stop": sometimes(1.5),
            "cut": sometimes(1.5),
            "down": sometimes(0.5),
            "expire_lease": sometimes(1.0),
            # A clock that steps back while the last sequence number is forgotten would give old numbers again.
            "step_clock": 0.0 if loses else sometimes(0.3),
            "step_worker_clock": sometimes(0.3),
            "empty": sometimes(0.8) if loses else 0.0,
            "fail_over": sometimes(0.8) if loses else 0.0,
        }
        plan = cls(
            seed=seed,
            nodes=chance.choice([1, 2, 2, 3, 3, 4]),
            settle_ms=chance.choice([0, 0, 100, 500, 3000]),
            batching=Batches(chance.random() < 0.5, chance.choice([0, 10, 50]), chance.choice([1, 2, 100])),
            weather=Weather(*(sometimes(0.02) for _ in range(3)), slow=sometimes(0.3)),
            every_s=chance.choice([0.02, 0.05, 0.1]),
            weights=weights,
            fatal=sometimes(0.01),
            stopping=sometimes(0.01),
            expiring=sometimes(0.02),
            waking=sometimes(1.0),
            loses=loses,
            limit=chance.choice([0, 2, 3]),
            member_limit=chance.choice([0, 0, 2]),
            slices=chance.choice([0, 0, 1, 3]),
        )
        # Drawn last, so that the stories of the seeds without it are as they were.
        weights["revive"] = sometimes(1.0) if weights["fail_over"] else 0.0
        return plan
