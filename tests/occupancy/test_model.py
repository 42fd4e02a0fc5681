"""The Lua scripts and the memory driver live through the same random histories and must agree on everything.

The memory driver is the model of who holds what; what was told is judged by an oracle of its own: per channel and per
member the webhooks strictly alternate, and once all has settled the last one told says how it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from engine.errors import IncarnationGone
from engine.interfaces import Interest, MemberChange, MemberReport, OccupancyStore, Report, TotalChange, Transition
from tests.occupancy.clusters import InMemory, InRedis
from tests.occupancy.stores import held

T = TypeVar("T")

SETTLE_MS = 60_000
USER = "#server-to-user-1/2"
FOREVER_MS = 10**10
HEARTBEAT_MS = 4_000
#: The same for all workers, as with one configuration.
CHANNELS = {
    "room": Interest(),
    "counted": Interest(True, False, SETTLE_MS, announced=True, counted=True),
    "presence-settled": Interest(True, True, SETTLE_MS),
    "presence-at-once": Interest(True, True),
    "presence-occupancy-only": Interest(True, False, SETTLE_MS),
    USER: Interest(True, True, SETTLE_MS, announced=True, counted=True),
}
USERS = ("u", "v/w")
WORKERS = 2
#: Most of what can go wrong happens in the settled one.
OFTEN = ("presence-settled", "presence-settled", "presence-settled", "counted", *CHANNELS)

members = st.builds(
    lambda user, count, limit: (user, count, limit),
    st.sampled_from(USERS),
    st.sampled_from((0, 1, 1, 2)),
    st.sampled_from((0, 0, 0, 1)),
)
reports = st.builds(
    # Server-owned channels have no members.
    lambda channel, count, limit, roster, members: (
        (channel, count, limit, roster, [] if channel.startswith("#") else members)
    ),
    st.sampled_from(OFTEN),
    st.sampled_from((0, 0, 1, 2)),
    st.sampled_from((0, 0, 0, 3)),
    st.booleans(),
    st.lists(members, max_size=3),
)
workers = st.integers(0, WORKERS - 1)


def interest_of(_: str, channel: str) -> Interest:
    return CHANNELS[channel]


async def known(joining: Awaitable[str]) -> bool:
    """Whether joining was answered with an epoch; each driver has its own."""
    return bool(await joining)


class TwoDrivers(RuleBasedStateMachine):
    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.model = InMemory()
        self.redis = InRedis(self.url)
        self.stores: tuple[OccupancyStore, OccupancyStore] = (self.model.store(), self.redis.store())
        self.run(self.redis.listen())
        self.names = [f"w{n}-0" for n in range(WORKERS)]
        self.stale: list[str] = []
        self.told: list[Transition] = []
        self.serial = 0
        #: Within one purge the order over channels is free; until all of it is told, so is that of the log.
        self.reordered = False

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(work)  # type: ignore[arg-type]

    def both(self, call: Callable[[OccupancyStore], Awaitable[Any]]) -> Any:
        """The same call on both drivers: same answer or same refusal."""
        outcomes = []
        for store in self.stores:
            try:
                outcomes.append(self.run(call(store)))
            except IncarnationGone:
                outcomes.append("gone")
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @initialize()
    def start(self) -> None:
        for name in self.names:
            self.both(lambda store, name=name: known(store.join(name)))

    # --- workers

    @rule(worker=workers, content=st.lists(reports, min_size=1, max_size=3))
    def report(self, worker: int, content: list[Any]) -> None:
        self._report(self.names[worker], content)

    @rule(content=st.lists(reports, min_size=1, max_size=1))
    def haunt(self, content: list[Any]) -> None:
        """A worker that was given up goes on as if nothing had happened."""
        for name in self.stale[-2:]:
            self._report(name, content)
            self.both(lambda store, name=name: store.heartbeat(name))
            if name in self.both(lambda store: _sorted(store.expired(10**9))):
                assert self.both(lambda store, name=name: known(store.join(name))) == "gone"

    @rule(worker=workers)
    def leave_everything(self, worker: int) -> None:
        """What a worker does that closes all its connections, members named or forgotten."""
        facts = self.both(lambda store: held(store, self.names[worker]))
        self._report(self.names[worker], [(channel, 0, 0, False, []) for _, channel, user in facts if user is None])

    @rule(worker=workers)
    def die(self, worker: int) -> None:
        name = self.names[worker]
        self.both(lambda store: store.leave(name))
        self.stale.append(name)
        self.names[worker] = f"{name.split('-')[0]}-{len(self.stale)}"
        self.both(lambda store: known(store.join(self.names[worker])))

    @rule(worker=workers)
    def beat(self, worker: int) -> None:
        self.both(lambda store: store.heartbeat(self.names[worker]))

    # --- the leader

    @rule(worker=workers)
    def acquire(self, worker: int) -> None:
        self.both(lambda store: store.acquire(self.names[worker], FOREVER_MS))

    @rule(worker=workers)
    def release(self, worker: int) -> None:
        self.both(lambda store: store.release(self.names[worker]))

    @rule(worker=workers, beat_s=st.sampled_from((0.5, 1.0)), limit=st.integers(1, 3))
    def purge(self, worker: int, beat_s: float, limit: int) -> None:
        self.model.beat_s = self.redis.beat_s = self.redis.beat_s + beat_s
        dead = self.both(lambda store: _sorted(store.expired(HEARTBEAT_MS)))
        leads = self.both(lambda store: store.acquire(self.names[worker], FOREVER_MS))
        for name in dead:
            if name in self.names:
                self.names[self.names.index(name)] = renewed = f"{name}x"
                self.stale.append(name)
                self.both(lambda store, renewed=renewed: known(store.join(renewed)))
                if name == self.names[worker] or not leads:
                    continue
            self.both(lambda store, name=name: self._purge_all(store, self.names[worker], name, limit))
        self.reordered = self.reordered or bool(dead)

    @rule(limit=st.integers(1, 4), take=st.integers(0, 4), worker=workers)
    def tell(self, limit: int, take: int, worker: int) -> None:
        model, real = (self.run(store.due(limit)) for store in self.stores)
        assert (model.next_due_in_ms is None) == (real.next_due_in_ms is None)
        assert len(model.transitions) == len(real.transitions)
        if self.reordered:
            self._tell_all(self.names[worker])
            return
        assert [_public(t) for t in model.transitions] == [_public(t) for t in real.transitions]
        done = [
            self.run(store.commit(self.names[worker], due.transitions[:take], []))
            for store, due in zip(self.stores, (model, real), strict=True)
        ]
        assert done[0] == done[1]
        if done[1]:
            self.told += real.transitions[:take]
            if take:
                self.both(lambda store: store.commit(self.names[worker], real.transitions[:take], []))

    @rule(worker=workers)
    def audit(self, worker: int) -> None:
        """What only scripts have written needs no mending, at any moment."""
        assert self.both(lambda store: store.audit(self.names[worker], ["app"], interest_of, 50)) == 0

    @rule(ms=st.sampled_from((SETTLE_MS // 2, SETTLE_MS + 1000)))
    def time_passes(self, ms: int) -> None:
        for cluster in (self.model, self.redis):
            self.run(cluster.pass_ms(ms))

    # --- what must hold after every step

    @invariant()
    def same_state(self) -> None:
        self.both(lambda store: store.channels("app"))
        self.both(lambda store: store.channels("app", "presence-"))
        counts = self.both(lambda store: store.counts("app", list(CHANNELS)))
        totals = dict.fromkeys(CHANNELS, 0)
        for name in (*self.model.cluster.purging, *self.model.cluster.workers):
            facts = self.both(lambda store, name=name: held(store, name))
            for (_, channel, user), count in facts.items():
                if user is None:
                    totals[channel] += count
        assert {channel: total for channel, (total, _) in zip(CHANNELS, counts, strict=True)} == totals
        for channel in CHANNELS:
            self.both(lambda store, channel=channel: store.members("app", channel))
        assert [self.run(store.totals("app", [USER, "#nobody"]))[1] for store in self.stores] == [[totals[USER], 0]] * 2

    @invariant()
    def nothing_waits_for_what_is_told(self) -> None:
        base = self.redis.keys.base
        pending = self.run(self.redis.client.hgetall(base + "pending"))
        pending.pop(b"", None)
        assert {*pending.values()} <= {*self.run(self.redis.client.zrange(base + "transitions", 0, -1))}

    @invariant()
    def same_news(self) -> None:
        (model, model_wakes), (real, real_wakes) = (self.run(c.heard()) for c in (self.model, self.redis))
        assert (model_wakes > 0) == (real_wakes > 0)
        assert [c.version for c in real] == sorted({c.version for c in real})
        plain = [list(map(_news, changes)) for changes in (model, real)]
        if self.reordered:
            plain = [sorted(changes) for changes in plain]
        assert plain[0] == plain[1]

    def teardown(self) -> None:
        try:
            self.run(self._all_settles())
        finally:
            self.run(self.redis.close())
            self.loop.close()

    # --- helpers

    def _report(self, name: str, content: list[Any]) -> None:
        built = [self._built(*report) for report in content]
        answers = []
        for store in self.stores:
            try:
                answers.append(self.run(store.report(name, built)))
            except IncarnationGone:
                answers.append([])
        for model, real in zip(*answers, strict=True):
            assert (model.version == 0) == (real.version == 0)
            model.version = real.version
            assert model == real

    def _built(self, channel: str, count: int, limit: int, roster: bool, content: list[Any]) -> Report:
        built = []
        for user, connections, member_limit in content:
            self.serial += 1
            info, socket, data = f'{{"n":{self.serial}}}', f"1.{self.serial}", f"data {self.serial}"
            built.append(MemberReport(user, connections, info, socket, data, member_limit))
        return Report("app", channel, count, limit, *CHANNELS[channel], roster, tuple(built))

    async def _purge_all(self, store: OccupancyStore, leader: str, dead: str, limit: int) -> bool:
        while more := await store.purge(leader, dead, interest_of, limit):
            pass
        return more

    def _tell_all(self, leader: str) -> None:
        """Compare and commit all that is due, whatever order the purge left it in."""
        model, real = (self.run(store.due(1000)) for store in self.stores)
        assert sorted(map(_public, model.transitions)) == sorted(map(_public, real.transitions))
        for key in {_subject(t) for t in real.transitions}:
            mine = [[_public(t) for t in due.transitions if _subject(t) == key] for due in (model, real)]
            assert mine[0] == mine[1]
        if all(
            [self.run(s.commit(leader, d.transitions, [])) for s, d in zip(self.stores, (model, real), strict=True)]
        ):
            self.told += real.transitions
            self.reordered = real.next_due_in_ms is not None

    async def _all_settles(self) -> None:
        model, real = self.stores
        await real.join("last")
        for name in [*self.names, *self.stale]:
            await real.release(name)
        assert await real.acquire("last", FOREVER_MS)
        await self.redis.pass_ms(SETTLE_MS + 1000)
        while transitions := (await real.due(1000)).transitions:
            assert await real.commit("last", transitions, [])
            self.told += transitions
        assert (await real.due(1)).next_due_in_ms is None
        last: dict[tuple[str, str], Transition] = {}
        counts: dict[str, int] = {}
        for transition in self.told:
            if transition.name == "subscription_count":
                counts[transition.channel] = int(transition.data)
                continue
            before = last.get(_subject(transition))
            come = transition.name in ("channel_occupied", "member_added")
            assert come == (before is None or before.name in ("channel_vacated", "member_removed"))
            assert before is None or before.seq < transition.seq
            last[_subject(transition)] = transition
        come_now = {key for key, t in last.items() if t.name in ("channel_occupied", "member_added")}
        truth = set()
        occupied = await model.channels("app")
        assert {channel: n for channel, n in counts.items() if n} == {
            c: occupied[c] for c in occupied if c == "counted"
        }
        for channel, interest in CHANNELS.items():
            if channel in occupied and interest.watched:
                truth.add((channel, ""))
            if interest.members_watched and not channel.startswith("#"):
                truth |= {(channel, user) for user in await model.members("app", channel)}
        assert come_now == truth


def _news(change: MemberChange | TotalChange) -> tuple[str, ...]:
    """All but the version, in one form for both kinds."""
    if isinstance(change, TotalChange):
        return change.channel, "total", str(change.total)
    return change.channel, str(change.added), change.user_id, change.user_info


def _subject(transition: Transition) -> tuple[str, str]:
    return transition.channel, transition.user_id


def _public(t: Transition) -> tuple[str, ...]:
    return t.name, t.app_id, t.channel, t.user_id, t.socket_id, t.data


async def _sorted(names: Awaitable[list[str]]) -> list[str]:
    return sorted(await names)


#: In parts, so that none takes long; each has histories of its own.
@pytest.mark.parametrize("part", range(3))
def test_both_drivers_agree(redis_url: str, part: int) -> None:
    TwoDrivers.url = redis_url
    run_state_machine_as_test(
        TwoDrivers,
        settings=settings(
            max_examples=10,
            stateful_step_count=50,
            deadline=None,
            # Shrinking takes minutes here; add Phase.shrink to understand a failure.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
