"""What this worker holds, and the telling of it: all that changed in a loop turn goes to the store in one report.

`ws/subscriptions` adds and removes; the store answers. One report is under way at a time, so facts arrive in order,
and what changes meanwhile is told by the next one: under load reports grow instead of multiplying.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Callable

from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Answer, InterestOf, OccupancyStore, Report
from engine.occupancy.local_channel import Done, Held
from engine.occupancy.local_channel import Member as Member
from engine.occupancy.recent_departures import RecentDepartures
from engine.tasks import cancel, spawn

#: Channels in one report, so that no script holds Redis up for long.
MAX_REPORTS = 500
HEARTBEAT_S = 1.0
RECONCILE_S = 30.0
RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
#: After the shared state was lost, all workers have announced what they hold within this time.
CONVERGE_S = 5.0

_log = logging.getLogger(__name__)


class Reporter:
    """This worker's side of the occupancy store.

    :param interest_of: what clients and webhooks want of a channel, and how long a departure settles.
    :param on_change: called with False when the store is lost and True when it is back.
    :param on_doubt: called with True when the store may lack what other workers hold, False when that is over.
    :param on_roster: called with (app id, channel, answer, final) for each presence or announced channel after
        trouble: once when the store answers again, and finally when every worker has had the time to announce what it
        holds.
    """

    def __init__(
        self,
        store: OccupancyStore,
        interest_of: InterestOf,
        on_change: Callable[[bool], None],
        on_doubt: Callable[[bool], None],
        on_roster: Callable[[str, str, Answer, bool], None],
        heartbeat_s: float = HEARTBEAT_S,
        reconcile_s: float = RECONCILE_S,
        converge_s: float = CONVERGE_S,
    ) -> None:
        self._store = store
        self._interest_of = interest_of
        self._on_change = on_change
        self._on_doubt = on_doubt
        self._on_roster = on_roster
        self._heartbeat_s = heartbeat_s
        self._reconcile_s = reconcile_s
        self._converge_s = converge_s
        self._converged_at = math.inf
        self._held: dict[tuple[str, str], Held] = {}
        self._dirty: dict[tuple[str, str], Held] = {}
        self._wake = asyncio.Event()
        self._told = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._joined = False
        self._epoch = ""
        #: The store has lost data; what it was not yet told since, of all that was held when that was noticed.
        self._lost = False
        self._unannounced: set[tuple[str, str]] = set()
        self._departures = RecentDepartures(lambda: asyncio.get_running_loop().time())
        self._telling = False
        #: Something was done to the store of which no report shows whether it still knows it.
        self._behind = False
        self.incarnation = _new_incarnation()
        self.connected = False
        #: Facts that the store had wrong and the reconciler repaired; a metric.
        self.drift = 0

    async def start(self) -> None:
        """Make this worker known to the cluster. Raises StoreUnavailable."""
        await self._join()
        self._set_connected(True)
        self._task = spawn(self._run(), "occupancy-reporter")

    async def stop(self) -> None:
        """Tell what is still to be told, then leave: what is held even then, the cluster gives up at once."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.settled(), 2.0)
        await cancel(self._task)
        self._task = None
        try:
            await self._store.leave(self.incarnation)
        except StoreUnavailable as error:
            _log.warning("could not say goodbye to the cluster: %s", error)

    async def settled(self) -> None:
        """Return when everything held so far has been told."""
        while self._dirty or self._telling or not self._joined:
            self._told.clear()
            await self._told.wait()

    # --- facts

    def add(self, app_id: str, channel: str, member: Member | None, done: Done | None, limit: int = 0) -> None:
        """One more subscription here. `done` is called once it is counted, or refused and to be taken back by `remove`.

        :param limit: subscriptions the channel may have in the whole cluster; 0 is no limit.
        """
        held = self._place(app_id, channel)
        held.count += 1
        held.limit = limit
        if member is not None:
            held.roster = True
            held.members.setdefault(member.user_id, []).append(member)
            held.changed[member.user_id] = member
        if done is not None:
            held.waiting.append((member.user_id if member else None, done))
        self._touch(held)

    def remove(self, app_id: str, channel: str, member: Member | None, done: Done | None = None) -> None:
        """One subscription less here. :param done: the callback given to `add`, if it may still be waiting."""
        held = self._held.get((app_id, channel))
        if held is None:
            return
        held.count -= 1
        if member is not None:
            connections = held.members.get(member.user_id, [])
            if member in connections:
                connections.remove(member)
            if not connections:
                held.members.pop(member.user_id, None)
            held.changed[member.user_id] = member
        if done is not None:
            held.waiting = [entry for entry in held.waiting if entry[1] is not done]
        self._touch(held)

    def refresh(self) -> None:
        """Membership changes may have been missed: tell everything again, and give `on_roster` what comes back."""
        self._on_doubt(True)
        self._announce()
        self._converged_at = asyncio.get_running_loop().time() + self._converge_s

    def departed(self, report: Report) -> None:
        """This worker takes back what another held. Should the store lose that, nobody else knows that it was told."""
        self._departures.note(report)
        # A report behind it, if only an empty one: if the store lacks that later, it lacks this.
        self._behind = True
        self._wake.set()

    def _place(self, app_id: str, channel: str) -> Held:
        held = self._held.get((app_id, channel))
        if held is None:
            held = self._held[app_id, channel] = Held(app_id, channel)
        return held

    def _touch(self, held: Held) -> None:
        self._dirty[held.app_id, held.channel] = held
        self._wake.set()

    # --- telling

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_beat = loop.time() + self._heartbeat_s
        next_reconcile = loop.time() + self._reconcile_s
        while True:
            try:
                if not self._joined:
                    await self._join()
                    self.refresh()
                if self._lost and not self._unannounced:
                    await self._retell()
                now = loop.time()
                if now >= next_beat:
                    next_beat = now + self._heartbeat_s
                    if not await self._store.heartbeat(self.incarnation):
                        raise IncarnationGone(self.incarnation)
                    if not self._lost:
                        self._departures.forget_old()
                if self._dirty or self._behind:
                    await self._tell()
                elif now >= self._converged_at:
                    self._announce()
                    await self._tell_final()
                elif now >= next_reconcile:
                    next_reconcile = now + self._reconcile_s
                    await self._reconcile()
            except IncarnationGone:
                _log.warning("the cluster gave incarnation %s up; announcing everything as a new one", self.incarnation)
                self._rename()
                continue
            except StoreUnavailable as error:
                await self._serve_alone(error)
                next_beat = next_reconcile = loop.time()
            if not self._dirty:
                self._told.set()
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    next_s = min(next_beat, next_reconcile, self._converged_at) - loop.time()
                    await asyncio.wait_for(self._wake.wait(), max(0.0, next_s))

    async def _join(self) -> None:
        epoch = await self._store.join(self.incarnation)
        if self._epoch not in ("", epoch):
            _log.warning("shared state has lost data; telling again who is here, and whose places were left lately")
            self._lost = True
        self._epoch, self._joined = epoch, True

    def _rename(self) -> None:
        self.incarnation, self._joined = _new_incarnation(), False

    async def _tell_final(self) -> None:
        while self._dirty:
            await self._tell(final=True)
        self._converged_at = math.inf
        self._on_doubt(False)

    async def _tell(self, final: bool = False) -> None:
        batch = [self._dirty.pop(key) for key in list(self._dirty)[:MAX_REPORTS]]
        reports = [held.report(self._interest_of) for held in batch]
        told = [(held.changed, held.waiting) for held in batch]
        for held in batch:
            held.changed, held.waiting = {}, []
        self._telling, self._behind = True, False
        try:
            answers = await self._store.report(self.incarnation, reports)
        except (IncarnationGone, StoreUnavailable):
            # Nothing is lost: facts are absolute, so they are put back under whatever happened since.
            for held, (changed, waiting) in zip(batch, told, strict=True):
                held.changed = changed | held.changed
                held.waiting = waiting + held.waiting
                self._dirty[held.app_id, held.channel] = held
            raise
        finally:
            self._telling = False
        for held, report, answer, (changed, waiting) in zip(batch, reports, answers, told, strict=True):
            if answer.refused:
                self._on_refused(held, report, answer, changed, waiting)
                continue
            held.told = report.count
            if not answer.refused_members:
                # Whoever was refused may have been told before as here; that they are not is in the next report.
                self._unannounced.discard((held.app_id, held.channel))
            self._departures.note(report)
            if held.refresh:
                held.refresh = False
                if report.roster or report.announced:
                    self._on_roster(held.app_id, held.channel, answer, final)
            for user_id, done in waiting:
                done(answer, user_id in answer.refused_members)
            self._forget_if_empty(held)

    def _on_refused(
        self,
        held: Held,
        report: Report,
        answer: Answer,
        changed: dict[str, Member],
        waiting: list[tuple[str | None, Done]],
    ) -> None:
        """The latest that are too many are refused; the others are reported again without them."""
        held.changed = changed | held.changed
        excess = answer.total - held.told + report.count - report.limit
        keep = max(0, len(waiting) - max(1, excess))
        held.waiting = waiting[:keep] + held.waiting
        self._touch(held)
        for _, done in waiting[keep:]:
            done(answer, True)

    def _forget_if_empty(self, held: Held) -> None:
        key = (held.app_id, held.channel)
        if held.count <= 0 and key not in self._dirty and self._held.get(key) is held:
            del self._held[key]

    # --- trouble

    def _announce(self) -> None:
        """Everything held is told again: the store may know nothing of it."""
        for held in self._held.values():
            held.told = 0
            held.refresh = True
            for user_id, connections in held.members.items():
                held.changed.setdefault(user_id, connections[0])
            self._touch(held)
        self._unannounced = set(self._dirty)

    async def _retell(self) -> None:
        """All that is held was told. Now, how it is where somebody left lately: what was told of that may be lost."""
        reports = self._departures.reports(self._interest_of, self._member_here)
        for at in range(0, len(reports), MAX_REPORTS):
            await self._store.retell(reports[at : at + MAX_REPORTS])
        self._lost = False

    def _member_here(self, app_id: str, channel: str, user_id: str) -> Member | None:
        held = self._held.get((app_id, channel))
        return held.members[user_id][0] if held is not None and user_id in held.members else None

    async def _serve_alone(self, error: StoreUnavailable) -> None:
        """Without the store: answer from what is held here, until it is back."""
        _log.warning("shared state lost (%s); serving what is local", error)
        self._on_doubt(True)
        self._set_connected(False)
        loop = asyncio.get_running_loop()
        delay_s = RETRY_MIN_S
        while True:
            retry_at = loop.time() + delay_s
            while (left_s := retry_at - loop.time()) > 0:
                self._answer_alone()
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), left_s)
            try:
                if not self._joined:
                    # The answer to an earlier try may have been lost, and with it the epoch.
                    await self._join()
                elif not await self._store.heartbeat(self.incarnation):
                    raise IncarnationGone(self.incarnation)
                self.refresh()
                break
            except IncarnationGone:
                self._rename()
                break
            except StoreUnavailable:
                delay_s = min(delay_s * 2, RETRY_MAX_S)
        self._set_connected(True)
        _log.warning("shared state is back; announcing %d channels", len(self._held))

    def _answer_alone(self) -> None:
        for held in list(self._dirty.values()):
            waiting, held.waiting = held.waiting, []
            roster = {user_id: members[0].user_info for user_id, members in held.members.items()}
            for _, done in waiting:
                done(Answer(total=held.count, roster=roster if held.roster else None), False)

    async def _reconcile(self) -> None:
        """Compare what the store believes with what is held, and tell it again where they differ."""
        believed = await self._store.held(self.incarnation)
        if self._dirty:
            return  # facts moved while we asked; the next round compares
        mine: dict[tuple[str, str, str | None], int] = {}
        for (app_id, channel), held in self._held.items():
            mine[app_id, channel, None] = held.count
            for user_id, connections in held.members.items():
                mine[app_id, channel, user_id] = len(connections)
        wrong = [fact for fact in believed | mine if believed.get(fact, 0) != mine.get(fact, 0)]
        if wrong and not await self._store.heartbeat(self.incarnation):
            # Nothing drifted: what it held was given up with it, or is being given up now.
            raise IncarnationGone(self.incarnation)
        for fact in wrong:
            self._repair(*fact)

    def _repair(self, app_id: str, channel: str, user_id: str | None) -> None:
        self.drift += 1
        held = self._place(app_id, channel)
        if user_id is not None:
            connections = held.members.get(user_id, [])
            held.changed[user_id] = connections[0] if connections else Member(user_id)
        self._touch(held)

    def _set_connected(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected
            self._on_change(connected)


def _new_incarnation() -> str:
    return secrets.token_hex(8)
