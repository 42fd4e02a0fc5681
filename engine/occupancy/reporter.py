"""Keeps the store informed of what this worker holds: all that changed in a loop turn goes to it in one report.

One report is under way at a time, so facts arrive in order, and what changes meanwhile is in the next one: under load
reports grow instead of multiplying. What is held is in `local_state.py`; nothing else changes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import secrets
from collections.abc import Callable
from enum import Enum, auto

from engine._fast.member import Member
from engine.errors import IncarnationGone, StoreUnavailable
from engine.interfaces import Answer, InterestOf, OccupancyStore, Report
from engine.occupancy.comparison import Comparison
from engine.occupancy.local_channel import Done
from engine.occupancy.local_state import LocalState
from engine.occupancy.recent_departures import RecentDepartures
from engine.tasks import cancel, spawn

#: Channels and members in one report, so that it holds neither Redis nor this worker's loop up for long.
MAX_REPORTS = 500
HEARTBEAT_S = 1.0
RECONCILE_S = 30.0
RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
#: After the shared state was lost, all workers have announced what they hold within this time.
CONVERGE_S = 5.0

_log = logging.getLogger(__name__)


class Phase(Enum):
    """How this worker stands to the store.

    :cvar JOINING: the cluster gave its incarnation up; it joins as another one next.
    :cvar CONVERGING: it announces everything, and so may others: what the store lacks is no departure.
    :cvar STEADY: what the store answers is the truth.
    :cvar ALONE: the store cannot be reached (or was not yet asked); clients are answered from what is held here.
    """

    JOINING = auto()
    CONVERGING = auto()
    STEADY = auto()
    ALONE = auto()


class Reporter:
    """This worker's side of the occupancy store.

    :param interest_of: what clients and webhooks want of a channel, and how long a departure settles.
    :param on_change: called with False when the store is lost and True when it is back.
    :param on_resyncing: called with True when the store may lack what other workers hold, False when that is over.
    :param on_roster: called with (app id, channel, answer, final) for each presence or announced channel after
        trouble: once when the store answers again, and finally when every worker has had the time to announce what it
        holds.
    """

    def __init__(
        self,
        store: OccupancyStore,
        interest_of: InterestOf,
        on_change: Callable[[bool], None],
        on_resyncing: Callable[[bool], None],
        on_roster: Callable[[str, str, Answer, bool], None],
        heartbeat_s: float = HEARTBEAT_S,
        reconcile_s: float = RECONCILE_S,
        converge_s: float = CONVERGE_S,
    ) -> None:
        self._store = store
        self._interest_of = interest_of
        self._on_change = on_change
        self._on_resyncing = on_resyncing
        self._on_roster = on_roster
        self._heartbeat_s = heartbeat_s
        self._reconcile_s = reconcile_s
        self._converge_s = converge_s
        self._local = LocalState()
        self._departures = RecentDepartures(lambda: asyncio.get_running_loop().time())
        self._beat_at = self._reconcile_at = self._converged_at = math.inf
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._reported = asyncio.Event()
        self._reporting = False
        #: Every worker has announced what it holds: what the store answers to the announcement under way is final.
        self._final = False
        self._comparison: Comparison | None = None
        self._task: asyncio.Task[None] | None = None
        #: Whether the store knows this incarnation.
        self._joined = False
        self._epoch = ""
        #: The store has lost data; departures that it may have lost are yet to be emitted again.
        self._lost = False
        #: A purge was written that no numbered report covers; an empty report follows, so that its loss can be noticed.
        self._purge_unconfirmed = False
        self.phase = Phase.ALONE
        self.incarnation = _new_incarnation()
        #: Facts that the store had wrong and the reconciler repaired; a metric.
        self.drift = 0

    async def start(self) -> None:
        """Make this worker known to the cluster; without the store it begins alone, and joins when that is there."""
        lost: StoreUnavailable | None = None
        try:
            await self._join()
            self._enter(Phase.STEADY)
        except StoreUnavailable as error:
            lost = error
            self._on_change(False)
        self._task = spawn(self._run(lost), "occupancy-reporter")

    async def stop(self) -> None:
        """Report what is left to report, then leave: what is held even then, the cluster gives up at once."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.settled(), 2.0)
        await cancel(self._task)
        self._task = None
        if self._timer is not None:
            self._timer.cancel()
        try:
            await self._store.leave(self.incarnation)
        except StoreUnavailable as error:
            _log.warning("could not say goodbye to the cluster: %s", error)

    async def settled(self) -> None:
        """Return when everything held so far has been reported."""
        while self._local.dirty or self._reporting or not self._joined:
            self._reported.clear()
            await self._reported.wait()

    # --- facts

    def present(self, app_id: str) -> int:
        """Members of the application's presence channels here, each once in each channel."""
        return self._local.present[app_id]

    def add(self, app_id: str, channel: str, member: Member | None, done: Done | None, limit: int = 0) -> None:
        """One more subscription here. `done` is called once it is counted, or refused and to be taken back by `remove`.

        :param limit: subscriptions the channel may have in the whole cluster; 0 is no limit.
        """
        self._local.add(app_id, channel, member, done, limit)
        self._wake.set()

    def remove(self, app_id: str, channel: str, member: Member | None, done: Done | None = None) -> None:
        """One subscription less here. :param done: the callback given to `add`, if it may still be waiting."""
        self._local.remove(app_id, channel, member, done)
        self._wake.set()

    def refresh(self) -> None:
        """Membership changes may have been missed: report everything again, and give `on_roster` what comes back."""
        # In the other phases that comes next anyway.
        if self.phase in (Phase.STEADY, Phase.CONVERGING):
            self._converge()

    def departed(self, report: Report) -> None:
        """Remember a purge that this worker made as the leader, so that it can be emitted again if Redis loses it."""
        self._departures.note(report)
        self._purge_unconfirmed = True
        self._wake.set()

    # --- the loop

    async def _run(self, lost: StoreUnavailable | None = None) -> None:
        """:param lost: why the store could not be joined at the start."""
        loop = asyncio.get_running_loop()
        if lost is not None:
            await self._serve_alone(lost)
        self._beat_at = loop.time() + self._heartbeat_s
        self._reconcile_at = loop.time() + self._reconcile_s
        while True:
            try:
                await self._round(loop)
            except IncarnationGone:
                _log.warning("the cluster gave incarnation %s up; announcing everything as a new one", self.incarnation)
                self._rename()
                continue
            except StoreUnavailable as error:
                await self._serve_alone(error)
                self._beat_at = self._reconcile_at = loop.time()
            if not self._local.dirty:
                self._reported.set()
            if self._local.dirty or self._comparison is not None:
                # Not every store has to be waited for; others have their turn between two slices.
                await asyncio.sleep(0)
            else:
                await self._wait(min(self._beat_at, self._reconcile_at, self._converged_at))

    async def _wait(self, until: float) -> None:
        """Until there is something to do, or that time has come. Most waits end long before, with many others for the
        same time: one timer is for all of them."""
        self._wake.clear()
        if until != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = until
            self._timer = asyncio.get_running_loop().call_at(until, self._on_time)
        await self._wake.wait()

    def _on_time(self) -> None:
        self._timer_at = math.inf
        self._wake.set()

    async def _round(self, loop: asyncio.AbstractEventLoop) -> None:
        """What is to be done now, and of each kind a slice, so that nothing waits for the end of anything else."""
        if self.phase is Phase.JOINING:
            await self._join()
            self._converge()
        if self._lost and self._local.announced:
            await self._emit_current()
        now = loop.time()
        if now >= self._beat_at:
            self._beat_at = now + self._heartbeat_s
            if not await self._store.heartbeat(self.incarnation):
                raise IncarnationGone(self.incarnation)
            self._heed_others()
            if not self._lost:
                self._departures.forget_old()
        if self._local.dirty or self._purge_unconfirmed:
            await self._report()
        if self._local.announced or not self._local.dirty:
            if now >= self._converged_at:
                self._announce_finally()
            elif self._final:
                self._end_convergence()
        if self._comparison is not None:
            await self._compare(self._comparison)
        elif now >= self._reconcile_at:
            self._reconcile_at = now + self._reconcile_s
            if self.phase is Phase.STEADY:
                self._comparison = Comparison(self._local, self._store.held(self.incarnation))

    async def _join(self) -> None:
        epoch = await self._store.join(self.incarnation)
        if self._epoch not in ("", epoch):
            _log.warning("shared state has lost data; reporting again who is here, and whose places were left lately")
            self._lost = True
        self._epoch, self._joined = epoch, True

    def _heed_others(self) -> None:
        """Another worker has noticed a loss. What this one reported is known still, but it may have heard of members
        and counts that nobody knows of any more."""
        if self._store.epoch != self._epoch:
            _log.warning("shared state has lost data; asking again who is where")
            self._epoch = self._store.epoch
            self.refresh()

    def _rename(self) -> None:
        self.incarnation, self._joined = _new_incarnation(), False
        self._end_comparison()
        self._enter(Phase.JOINING)

    async def _report(self) -> None:
        final = self._final
        batch = self._local.take(self._interest_of, MAX_REPORTS)
        self._reporting, self._purge_unconfirmed = True, False
        try:
            answers = await self._store.report(self.incarnation, [taken.report for taken in batch])
        except (IncarnationGone, StoreUnavailable):
            self._local.put_back(batch)
            raise
        finally:
            self._reporting = False
        for taken, answer in zip(batch, answers, strict=True):
            if answer.refused:
                self._local.refused(taken, answer)
                self._wake.set()
                continue
            self._local.accepted(taken, answer)
            self._departures.note(taken.report)
            if taken.local.refresh:
                taken.local.refresh = False
                if taken.report.roster or taken.report.announced:
                    self._on_roster(taken.local.app_id, taken.local.channel, answer, final)
            self._local.answer(taken, answer)

    async def _compare(self, comparison: Comparison) -> None:
        """Compare some of what the store believes with what is held, and report again where they differ."""
        wrong = await comparison.next()
        if wrong is None:
            self._end_comparison()
        elif wrong:
            if not await self._store.heartbeat(self.incarnation):
                # Nothing drifted: what it held was given up with it, or is being given up now.
                raise IncarnationGone(self.incarnation)
            self.drift += len(wrong)
            self._local.repair(wrong)

    def _end_comparison(self) -> None:
        self._comparison = None
        self._local.unwatch()

    # --- trouble

    def _converge(self) -> None:
        """Announce everything that is held: the store may know nothing of it, nor of what others hold."""
        self._on_resyncing(True)
        self._local.announce()
        self._final = False
        self._end_comparison()
        self._converged_at = asyncio.get_running_loop().time() + self._converge_s
        self._enter(Phase.CONVERGING)
        self._wake.set()

    def _announce_finally(self) -> None:
        """Every worker has had the time to announce what it holds: what the store answers from now on is final."""
        self._local.announce()
        self._final = True
        self._converged_at = math.inf

    def _end_convergence(self) -> None:
        self._final = False
        self._enter(Phase.STEADY)
        self._on_resyncing(False)

    async def _emit_current(self) -> None:
        """Once all that is held was reported: emit the current state of what was left lately, as that may be lost."""
        reports = self._departures.reports(self._interest_of, self._local.member)
        for at in range(0, len(reports), MAX_REPORTS):
            await self._store.emit_current(reports[at : at + MAX_REPORTS])
        self._lost = False

    async def _serve_alone(self, error: StoreUnavailable) -> None:
        """Without the store: answer from what is held here, until it is back."""
        _log.warning("shared state lost (%s); serving what is local", error)
        self._on_resyncing(True)
        self._end_comparison()
        self._enter(Phase.ALONE)
        loop = asyncio.get_running_loop()
        delay_s = RETRY_MIN_S
        while self.phase is Phase.ALONE:
            retry_at = loop.time() + delay_s
            while loop.time() < retry_at:
                self._local.answer_alone()
                await self._wait(retry_at)
            try:
                if not self._joined:
                    # The answer to an earlier try may have been lost, and with it the epoch.
                    await self._join()
                elif not await self._store.heartbeat(self.incarnation):
                    raise IncarnationGone(self.incarnation)
                self._converge()
            except IncarnationGone:
                self._rename()
            except StoreUnavailable:
                delay_s = min(delay_s * 2, RETRY_MAX_S)
        _log.warning("shared state is back; announcing %d channels", len(self._local))

    def _enter(self, phase: Phase) -> None:
        was, self.phase = self.phase, phase
        if (was is Phase.ALONE) != (phase is Phase.ALONE):
            self._on_change(phase is not Phase.ALONE)


def _new_incarnation() -> str:
    return secrets.token_hex(8)
