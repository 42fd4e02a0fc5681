"""One channel as this worker holds it: how many subscriptions, which members, and who waits for an answer.

Changed by `LocalState` only; knows nothing of other channels and of the store but how it is reported to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from engine.interfaces import Answer, InterestOf, MemberReport, Report


@dataclass(frozen=True, slots=True)
class Member:
    """Who a presence subscription is, with what the webhook and the other members hear.

    :param limit: members the channel may have.
    """

    user_id: str
    user_info: str = ""
    socket_id: str = ""
    data: str = ""
    limit: int = 0


#: Called with the store's answer, and whether the subscription was refused for a limit.
Done = Callable[[Answer, bool], None]


@dataclass(slots=True)
class LocalChannel:
    """:ivar reported: the count that the store last took.
    :ivar refresh: asks for members and total though nobody waits for them.
    :ivar changed: members whose connections changed since the last report; the last one to leave is kept for the
        webhook's socket_id.
    """

    app_id: str
    channel: str
    count: int = 0
    reported: int = 0
    limit: int = 0
    roster: bool = False
    refresh: bool = False
    members: dict[str, list[Member]] = field(default_factory=dict)
    changed: dict[str, Member] = field(default_factory=dict)
    waiting: list[tuple[str | None, Done]] = field(default_factory=list)

    def report(self, interest_of: InterestOf) -> Report:
        """The count, and what has changed of its members."""
        # Limits are for those who wait to be let in. Whoever was let in while the store was away stays in.
        waiting = {user_id for user_id, _ in self.waiting}
        return Report(
            self.app_id,
            self.channel,
            self.count,
            self.limit if waiting else 0,
            *interest_of(self.app_id, self.channel),
            roster=self.roster and (self.refresh or bool(waiting)),
            members=tuple(self._member_report(member, waiting) for member in self.changed.values()),
        )

    def _member_report(self, member: Member, waiting: Collection[str | None]) -> MemberReport:
        connections = self.members.get(member.user_id, [])
        shown = connections[0] if connections else member
        return MemberReport(
            user_id=shown.user_id,
            count=len(connections),
            user_info=shown.user_info,
            socket_id=shown.socket_id,
            data=shown.data,
            limit=shown.limit if shown.user_id in waiting else 0,
        )
