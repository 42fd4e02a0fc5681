"""Runs one seed from its troubles to the end, and demands that everything comes right: nothing lost, nothing twice.

Beside the checks after every script (`oracle.py`), these look at what an outsider sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from engine.occupancy.redis_keys import fact as name_of
from tests.simulation.lives import Violation
from tests.simulation.mutation import Mutation
from tests.simulation.oracle import Fact
from tests.simulation.plan import APP, CALM_S, TROUBLE_S, Plan
from tests.simulation.trouble import Trouble
from tests.simulation.wire import SLOW_S, Weather
from tests.simulation.world import BASE, World
from tests.support.stories import Belief, read

#: How long it must stay right.
STEADY_S = 3.0
#: While all is calm, what clients do is told so soon, beside the settling time. So soon after a worker's death it is
#: told who was there, three times that when little is done at one time; and so soon is all announced again that was
#: lost. Well below what finds out without being told: the leader's next look, a heartbeat that runs out, the next
#: reconciliation.
TOLD_S, REAPED_S, ANNOUNCED_S = 0.25, 0.35, 1.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one seed came to: scripts run, events told, virtual seconds until all was right."""

    scripts: int
    told: int
    recovery_s: float


def play(plan: Plan, path: str, mutation: Mutation | None = None, say: Callable[[str], None] | None = None) -> Outcome:
    """Raises Violation.

    :param path: unix socket of a Valkey that is the simulation's own. :param say: gets the schedule, line by line.
    """
    with World(plan, path, mutation, say) as world:
        Trouble(world).start()
        world.run(world.now + TROUBLE_S)
        recovery_s = _calm_down(world)
        settle_s = plan.settle_ms / 1000
        if plan.loses:
            world.empty(0.0)
            _until_right(world, ANNOUNCED_S)
        elif len(world.nodes) > 1:
            world.kill(world.chance.choice(world.nodes))
            _until_right(world, settle_s + REAPED_S * (3 if plan.slices else 1))
        for node in world.living():
            for subscription in list(node.subscriptions):
                node.unsubscribe(subscription)
        _until_right(world, settle_s + TOLD_S)
        _check_end(world)
        return Outcome(world.steps, len(world.oracle.history), recovery_s)


def _calm_down(world: World) -> float:
    world.note("calm")
    world.calm = True
    world.wire.weather = Weather()
    took_s = _until_right(world, CALM_S)
    world.wire.weather = Weather(slow=0.0)
    # Until the last slow answer has come.
    world.run(world.now + SLOW_S[1])
    return took_s


def _until_right(world: World, within_s: float) -> float:
    """Wait until what is known and what was told is the truth, and see that it stays so."""
    began = world.now
    if not world.run(world.now + within_s, lambda: not _wrong(world)):
        raise Violation(f"after {within_s:g} s of calm still {_wrong(world)}")
    took_s = world.now - began
    told = len(world.oracle.history)
    world.run(world.now + STEADY_S)
    if not world.run(world.now + STEADY_S, lambda: not _wrong(world)):
        raise Violation(f"all was right, and then {_wrong(world)}")
    if (more := world.oracle.history[told:]) and not world.excuses.lossy:
        raise Violation(f"all was told, and then {more}")
    _check_stories(world)
    _check_keys(world)
    if not world.excuses.lossy and (drift := {node.name: n for node in world.nodes if (n := node.reporter.drift)}):
        raise Violation(f"reconcilers found facts wrong: {drift}")
    return took_s


def _wrong(world: World) -> str:
    """What is not as it should be; "" if all is."""
    if world.wire.down or world.wire.under_way or not world.nodes or any(node.in_trouble for node in world.nodes):
        return "trouble"
    living = {node.reporter.incarnation: node for node in world.nodes}
    if waiting := [node.name for node in world.nodes if any(held.done for held in node.subscriptions)]:
        return f"clients of {waiting} wait for an answer"
    if strangers := world.oracle.facts.keys() - living:
        return f"facts of {strangers}"
    for name, node in living.items():
        known = {fact: n for fact, n in world.oracle.facts.get(name, {}).items() if n}
        if known != node.facts():
            return f"{node.name} holds {node.facts()}, known is {known}"
    if world.oracle.waiting():
        return f"not told yet: {world.oracle.waiting()}"
    # Somebody whose last word came late is known until its silence has lasted long enough.
    known = {name.decode() for name in world.plain("ZRANGE", f"{BASE}workers", 0, -1)}
    return "" if known == living.keys() else f"{known} are known as alive"


def _check_stories(world: World) -> None:
    belief, faults = read(world.oracle.history, repeats=world.excuses.lossy)
    if faults:
        raise Violation("; ".join(faults))
    told = _facts_of(belief)
    true = {fact for node in world.nodes for fact in node.facts() if fact[0].startswith(("room-", "presence-"))}
    missed, stale = true - told - world.excuses.facts, told - true - world.excuses.facts
    if missed or stale:
        raise Violation(f"never told: {missed}; told and not so any more: {stale}")


def _facts_of(belief: Belief) -> set[Fact]:
    members = {(channel, user) for channel, users in belief.members.items() for user in users}
    return {(channel, "") for channel in belief.occupied} | members


def _check_keys(world: World) -> None:
    """Every key of the server, against the truth."""
    found = world.server.dump()
    expected: dict[str, Any] = {}
    totals: dict[str, int] = {}
    holders: dict[str, dict[str, int]] = {}
    for node in world.nodes:
        for (channel, user), n in node.facts().items():
            kind = "worker-members" if user else "worker"
            key = f"{kind}:{node.reporter.incarnation}"
            expected.setdefault(key, {})[name_of(APP, channel, user).encode()] = str(n).encode()
            if user:
                holders.setdefault(channel, {})[user] = holders.get(channel, {}).get(user, 0) + 1
            else:
                totals[channel] = totals.get(channel, 0) + n
    for channel, n in totals.items():
        kind = "internal" if channel.startswith("#") else "channels"
        expected.setdefault(f"{kind}:{APP}", {})[channel.encode()] = str(n).encode()
    for channel, users in holders.items():
        expected[f"members:{APP}/{channel}"] = {user.encode(): b'%d 0 {"n":1}' % n for user, n in users.items()}
    names = {node.reporter.incarnation.encode() for node in world.nodes} | set(found.get("reaped", ()))
    found.pop("workers")
    if strangers := found.pop("turns", {}).keys() - names:
        raise Violation(f"turns of {strangers} are kept, who are no more")
    if waiting := found.pop("pending", {}).keys() - {b""}:
        raise Violation(f"departures that are told already seem to settle: {waiting}")
    for key in ("clock", "epoch", "lease", "life", "reaped"):
        found.pop(key, None)
    if found != expected:
        wrong = {key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key)}
        raise Violation(f"keys {[(key, found.get(key), expected.get(key)) for key in sorted(wrong)]} (is, should be)")


def _check_end(world: World) -> None:
    told = _facts_of(read(world.oracle.history, repeats=world.excuses.lossy)[0]) - world.excuses.facts
    if told:
        raise Violation(f"everybody has left, and still told as there: {told}")
