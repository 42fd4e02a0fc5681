"""Which places were left here lately, for as long as their webhooks may not have been sent: should the store lose data,
nobody else knows that there is something to emit.

Only remembers, bounded in time and number; never decides whether something is emitted again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from engine._fast.member import Member
from engine.interfaces import InterestOf, MemberReport, Report
from engine.occupancy.redis_wire import UNCHANGED

#: Beyond the settling time: the leader may be dead, and the next one waits for its lease to end; and a replica that
#: takes over may lack what was written lately.
KEPT_S = 15.0
MAX_KEPT = 100_000


class RecentDepartures:
    """:param clock: seconds that only grow."""

    def __init__(self, clock: Callable[[], float], max_kept: int = MAX_KEPT) -> None:
        self._clock = clock
        #: (until, app id, channel, user or "" for the channel itself, the user's last socket here)
        self._kept: deque[tuple[float, str, str, str, str]] = deque(maxlen=max_kept)

    def note(self, report: Report) -> None:
        """The store has taken this: whatever it says is gone was left here now, or never held."""
        until = self._clock() + report.settle_ms / 1000 + KEPT_S
        if report.watched and not report.count:
            self._kept.append((until, report.app_id, report.channel, "", ""))
        for member in report.members:
            if report.members_watched and not member.count:
                self._kept.append((until, report.app_id, report.channel, member.user_id, member.socket_id))

    def forget_old(self) -> None:
        """Call this only while the store is known to have all its data."""
        now = self._clock()
        while self._kept and self._kept[0][0] <= now:
            self._kept.popleft()

    def reports(self, interest_of: InterestOf, here: Callable[[str, str, str], Member | None]) -> list[Report]:
        """What `OccupancyStore.emit_current` takes, for all that is remembered.

        :param here: the member of (app, channel, user id), if this worker holds them again."""
        places: dict[tuple[str, str], dict[str, str]] = {}
        for _, app_id, channel, user_id, socket_id in self._kept:
            places.setdefault((app_id, channel), {})[user_id] = socket_id
        reports = []
        for (app_id, channel), left in places.items():
            interest = interest_of(app_id, channel)
            members = []
            for user_id, socket_id in left.items():
                back = here(app_id, channel, user_id) or Member(user_id, socket_id=socket_id)
                if user_id:
                    members.append(MemberReport(user_id, 0, socket_id=back.socket_id, data=back.data))
            reports.append(
                Report(
                    app_id,
                    channel,
                    UNCHANGED,
                    watched=interest.watched and "" in left,
                    members_watched=interest.members_watched,
                    members=tuple(members),
                )
            )
        return reports
