"""The state of a whole cluster in one process: what the Lua scripts keep in Redis, as plain dictionaries.

No method awaits, so each is as atomic as a script.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from engine.config.event_types import CHANNEL_OCCUPIED, CHANNEL_VACATED, MEMBER_ADDED, MEMBER_REMOVED
from engine.errors import IncarnationGone
from engine.interfaces import Answer, InterestOf, MemberChange, MemberReport, Report, TotalChange
from engine.metrics.metrics import Metrics
from engine.occupancy.transition_log import SequenceClock, TransitionLog
from engine.protocol.channel import USER_PREFIX, is_server_owned, watch_channel


class Worker:
    """What one incarnation holds, and its last sign of life (0: it left)."""

    __slots__ = ("beat", "counts", "members")

    def __init__(self) -> None:
        self.beat = 1
        self.counts: dict[tuple[str, str], int] = {}
        self.members: dict[tuple[str, str, str], int] = {}


#: How many workers hold a member, and what the latest subscription said of it: when it was authorised, in microseconds,
#: and its user_info. A plain tuple of what the garbage collector need not look at, however many there are.
Holders = tuple[int, int, str]


class MemoryState:
    """What all workers hold, shared by every `MemoryOccupancy` of one cluster; in production there is one.

    :param on_member_change: called with every membership change, from within the report that makes it.
    :param on_wake: called when the leader has something to do, at most once for each report.
    :param now_us: the clock, microseconds since the epoch.
    :param on_total_change: called with every change of an announced total, as `on_member_change`.
    :param metrics: counts changes that are given up for want of room.
    """

    def __init__(
        self,
        on_member_change: Callable[[MemberChange], None],
        on_wake: Callable[[], None],
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        on_total_change: Callable[[TotalChange], None] = lambda _: None,
        metrics: Metrics | None = None,
    ) -> None:
        self._on_member_change = on_member_change
        self._on_total_change = on_total_change
        self._on_wake = on_wake
        self._now_us = now_us
        self._clock = SequenceClock(now_us)
        #: The leader, and when its lease ends in microseconds.
        self._lease = ("", 0)
        self.log = TransitionLog(self._clock, (metrics or Metrics()).occupancy.dropped)
        self.workers: dict[str, Worker] = {}
        self.purging: dict[str, Worker] = {}
        #: app -> channel -> subscriptions in the cluster, occupied channels only.
        self.apps: dict[str, dict[str, int]] = {}
        #: (app, channel) -> members by user id, of channels that have some.
        self._members: dict[tuple[str, str], dict[str, Holders]] = {}

    # --- workers

    def join(self, incarnation: str) -> None:
        worker = self.workers.get(incarnation)
        if incarnation in self.purging or (worker is not None and not worker.beat):
            raise IncarnationGone(incarnation)
        if worker is None:
            worker = self.workers[incarnation] = Worker()
        worker.beat += 1

    def heartbeat(self, incarnation: str) -> bool:
        worker = self.workers.get(incarnation)
        if worker is None or not worker.beat:
            return False
        worker.beat += 1
        return True

    def leave(self, incarnation: str) -> None:
        worker = self.workers.get(incarnation)
        if worker is not None:
            worker.beat = 0
        led = self.leads(incarnation)
        if led:
            self._lease = ("", 0)
        if led or worker is not None:
            self._on_wake()

    def report(self, incarnation: str, reports: Sequence[Report]) -> list[Answer]:
        worker = self.workers.get(incarnation)
        if worker is None or not worker.beat:
            raise IncarnationGone(incarnation)
        logged = self.log.appended
        answers = [self._apply(worker, report) for report in reports]
        if self.log.appended != logged:
            self._on_wake()
        return answers

    def total(self, app_id: str, channel: str) -> int:
        """Subscriptions; 0 of a channel that is not occupied."""
        return self.apps.get(app_id, {}).get(channel, 0)

    def members(self, app_id: str, channel: str) -> Mapping[str, Holders]:
        """By user id."""
        return self._members.get((app_id, channel), {})

    @property
    def version(self) -> int:
        """Of the last change."""
        return self._clock.last

    # --- the leader

    def acquire(self, incarnation: str, ttl_ms: int) -> bool:
        holder, ends_us = self._lease
        now_us = self._now_us()
        if holder != incarnation and now_us < ends_us:
            return False
        self._lease = (incarnation, now_us + ttl_ms * 1000)
        return True

    def release(self, incarnation: str) -> None:
        if self.leads(incarnation):
            self._lease = ("", 0)
            self._on_wake()

    def leads(self, incarnation: str) -> bool:
        return self._lease[0] == incarnation and self._now_us() < self._lease[1]

    def purge(self, leader: str, dead: str, judged: int, interest_of: InterestOf, limit: int) -> bool:
        """:param judged: the heartbeat by which it was found dead."""
        if not self.leads(leader):
            return False
        if dead not in self.purging:
            worker = self.workers.get(dead)
            if worker is None or worker.beat not in (0, judged):
                return False
            self.purging[dead] = self.workers.pop(dead)
        worker = self.purging[dead]
        logged = self.log.appended
        # Members first, as a channel is vacated last.
        if worker.members:
            for app_id, name, user in list(islice(worker.members, limit)):
                report = _undo(app_id, name, worker.counts.get((app_id, name), 0), interest_of)
                self._set_member(worker, report, MemberReport(user, 0))
        else:
            for app_id, name in list(islice(worker.counts, limit)):
                self._apply(worker, _undo(app_id, name, 0, interest_of))
        if self.log.appended != logged:
            self._on_wake()
        if worker.members or worker.counts:
            return True
        del self.purging[dead]
        return False

    # --- one report, as `apply` in lua/occupancy_common.lua

    def _apply(self, worker: Worker, report: Report) -> Answer:
        key = (report.app_id, report.channel)
        old = worker.counts.get(key, 0)
        before = self.total(*key)
        after = before + report.count - old
        if report.limit and report.count > old and after > report.limit:
            return Answer(before, refused=True)

        # A channel is occupied before its members come and vacated after they have gone.
        if report.count >= old:
            self._set_total(worker, report, before, after)
        refused: tuple[str, ...] = ()
        for member in report.members:
            if not self._set_member(worker, report, member):
                refused += (member.user_id,)
        if report.count < old:
            if report.count == 0:
                self._drop_leftovers(worker, report)
            self._set_total(worker, report, before, after)

        if not report.roster:
            return Answer(after, refused_members=refused)
        roster = {user: info for user, (_, _, info) in self.members(*key).items()}
        return Answer(after, self._clock.last or self._clock.next(), roster, refused_members=refused)

    def _set_total(self, worker: Worker, report: Report, before: int, after: int) -> None:
        app_id, name = key = (report.app_id, report.channel)
        if report.count:
            worker.counts[key] = report.count
        else:
            worker.counts.pop(key, None)
        if after == before:
            return
        watched = report.watched and not is_server_owned(name)
        channels = self.apps.setdefault(app_id, {})
        if after:
            channels[name] = after
            if watched and not before:
                self.log.append_come(self._clock.next(), CHANNEL_OCCUPIED, app_id, name, "", "", "")
        else:
            del channels[name]
            self._members.pop((app_id, name), None)
            if not channels:
                del self.apps[app_id]
            if watched:
                self.log.append_gone(self._clock.next(), CHANNEL_VACATED, app_id, name, report.settle_ms, "", "")
        if report.announced:
            self._announce(app_id, name, before, after)
        if report.counted and not is_server_owned(name):
            self.log.append_count(self._clock.next(), app_id, name, after)

    def _announce(self, app_id: str, name: str, before: int, after: int) -> None:
        """Workers hear of every new total, and of a user only that it came or went."""
        if not is_server_owned(name):
            self._on_total_change(TotalChange(app_id, name, self._clock.next(), after))
        elif name.startswith(USER_PREFIX) and bool(before) != bool(after):
            watchers = watch_channel(name.removeprefix(USER_PREFIX))
            self._on_total_change(TotalChange(app_id, watchers, self._clock.next(), after))

    def _set_member(self, worker: Worker, report: Report, member: MemberReport) -> bool:
        """False when the member limit refuses a user new to the channel."""
        app_id, name, user = report.app_id, report.channel, member.user_id
        key = (app_id, name, user)
        count = member.count if report.count else 0
        old = worker.members.get(key, 0)
        if not self.total(app_id, name):
            return True
        members = self.members(app_id, name)
        held = members.get(user)
        workers, since_us, info = held or (0, 0, "")
        if count and held is None:
            if member.limit and len(members) >= member.limit:
                return False
            self._add_member(report, member)
        elif count and held is not None:
            if info != member.user_info and member.left and old and workers == 1:
                self._remove_member(report, user, member.left)
                self._add_member(report, member)
            else:
                self._keep_member(report, member, held, 0 if old else 1)
        elif old and workers > 1:
            self._members[app_id, name][user] = (workers - 1, since_us, info)
        elif old and held is not None:
            self._remove_member(report, user, member.socket_id)
        if count:
            worker.members[key] = count
        else:
            worker.members.pop(key, None)
        return True

    def _add_member(self, report: Report, member: MemberReport) -> None:
        app_id, name, user = report.app_id, report.channel, member.user_id
        self._members.setdefault((app_id, name), {})[user] = (1, member.since_us, member.user_info)
        seq = self._clock.next()
        self._on_member_change(MemberChange(app_id, name, seq, True, user, member.user_info))
        if report.members_watched and not is_server_owned(name):
            self.log.append_come(seq, MEMBER_ADDED, app_id, name, user, member.socket_id, member.data)

    def _keep_member(self, report: Report, member: MemberReport, held: Holders, more: int) -> None:
        """The latest authorised subscription says who a member is."""
        workers, since_us, told = held
        info = told
        if member.joined or member.since_us > since_us:
            since_us, info = max(since_us, member.since_us), member.user_info
        members = self._members[report.app_id, report.channel]
        members[member.user_id] = (workers + more, since_us, info)
        if info != told:
            change = MemberChange(report.app_id, report.channel, self._clock.next(), True, member.user_id, info)
            self._on_member_change(change)

    def _remove_member(self, report: Report, user: str, socket_id: str) -> None:
        app_id, name = report.app_id, report.channel
        members = self._members[app_id, name]
        del members[user]
        if not members:
            del self._members[app_id, name]
        seq = self._clock.next()
        self._on_member_change(MemberChange(app_id, name, seq, False, user, ""))
        if report.members_watched and not is_server_owned(name):
            self.log.append_gone(seq, MEMBER_REMOVED, app_id, name, report.settle_ms, user, socket_id)

    def _drop_leftovers(self, worker: Worker, report: Report) -> None:
        """Members of this worker that the caller forgot to report gone with its last subscription."""
        for user in list(self.members(report.app_id, report.channel)):
            if (report.app_id, report.channel, user) in worker.members:
                self._set_member(worker, report, MemberReport(user, 0))


def _undo(app_id: str, channel: str, count: int, interest_of: InterestOf) -> Report:
    return Report(app_id, channel, count, 0, *interest_of(app_id, channel))
