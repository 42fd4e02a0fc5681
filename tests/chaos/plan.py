"""What one seed stands for: which faults come when, and how the webhook endpoint behaves meanwhile. Pure.

Real processes do not replay exactly; the schedule does.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

SETTLE_MS = (0, 300, 1000)
HEARTBEAT_MS, NODE_TIMEOUT_MS = 250, 2000
NODES, WORKERS = 2, 2

#: Each kind comes in a round as often as it stands here, in an order of the seed's.
FAULTS = (
    *("kill_leader", "kill_leader", "kill_worker", "stop_leader", "stop_worker"),
    *("lose_lease", "kill_node", "kill_valkey", "restart_valkey", "pause_valkey"),
)
#: Closer together, the cluster would hardly ever get to tell anything.
FAULT_EVERY_S = (2.0, 3.5, 6.0)
#: A moment; about as long as the shared state waits for a silent worker; longer than a lease; and than a supervisor
#: waits for a worker that is stuck.
STOPS_S = (0.3, 2.5, 6.5, 12.0)
#: How long Valkey is away.
OUTAGES_S = (0.2, 0.7, 2.0)
#: What the endpoint does with those requests that it does not simply take.
MOODS = ("well", "fails", "hangs", "drops", "deaf", "breaks", "mixed")


@dataclass(frozen=True, slots=True)
class Fault:
    """:param choice: from 0 to 1; chooses among the victims that there are then."""

    at_s: float
    kind: str
    for_s: float
    choice: float


@dataclass(frozen=True, slots=True)
class Mood:
    """:param share: of the requests, that feel it."""

    at_s: float
    name: str
    share: float


@dataclass(frozen=True, slots=True)
class Plan:
    """:param seconds: of trouble. :param pause_s: mean time between two actions of one guest."""

    seed: int
    seconds: float
    settle_ms: int
    guests: int
    users: int
    rooms: int
    presence_rooms: int
    pause_s: float
    faults: tuple[Fault, ...]
    moods: tuple[Mood, ...]

    @classmethod
    def of(cls, seed: int, seconds: float, guests: int) -> Plan:
        chance = Random(f"chaos {seed}")
        # A short run sees one round of everything; a long one is dense or sparse, as its seed wants it.
        every_s = min(chance.choice(FAULT_EVERY_S), seconds / (len(FAULTS) + 1))
        return cls(
            seed=seed,
            seconds=seconds,
            settle_ms=chance.choice(SETTLE_MS),
            guests=guests,
            users=max(1, guests // 3),
            rooms=guests,
            presence_rooms=max(1, guests // 5),
            pause_s=1.0,
            faults=tuple(_faults(chance, seconds, every_s)),
            moods=tuple(_moods(chance, seconds, min(3.0, seconds / len(MOODS)))),
        )


def _faults(chance: Random, seconds: float, every_s: float) -> list[Fault]:
    faults: list[Fault] = []
    at_s, bag = every_s, list[str]()
    # Each kind at least once.
    while at_s < seconds or len(faults) < len(FAULTS):
        if not bag:
            bag = chance.sample(FAULTS, len(FAULTS))
        kind = bag.pop()
        for_s = chance.choice(OUTAGES_S if kind.endswith("valkey") else STOPS_S)
        faults.append(
            Fault(round(at_s, 2), kind, min(for_s, seconds * 0.65) * chance.uniform(0.8, 1.2), chance.random())
        )
        at_s += every_s * chance.uniform(0.5, 1.5)
    return faults


def _moods(chance: Random, seconds: float, every_s: float) -> list[Mood]:
    moods: list[Mood] = []
    at_s, bag = 0.0, list[str]()
    while at_s < seconds or len(moods) < len(MOODS):
        if not bag:
            bag = chance.sample(MOODS, len(MOODS))
        moods.append(Mood(round(at_s, 2), bag.pop(), chance.choice((0.3, 0.7, 1.0))))
        at_s += every_s * chance.uniform(0.5, 1.5)
    return moods
