"""One channel as this worker holds it: how many subscriptions, which members, and who waits for an answer.

Changed by `LocalState` only; knows nothing of other channels and of the store but how it is reported to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from engine._fast.member import Member
from engine.interfaces import Answer, InterestOf, MemberReport, Report


@dataclass(frozen=True, slots=True)
class Change:
    """What happened to one member's connections since the last report; nothing of it may be lost when they are merged.

    :param member: the connection that came or went last.
    :param joined: a connection came.
    :param left: the socket of the one after whose end there was none here, "" when there always was one.
    """

    member: Member
    joined: bool = False
    left: str = ""

    def then(self, later: Change) -> Change:
        """Both, one after the other."""
        return Change(later.member, self.joined or later.joined, later.left or self.left)


#: Called with the store's answer, and whether the subscription was refused for a limit.
Done = Callable[[Answer, bool], None]


@dataclass(slots=True)
class LocalChannel:
    """:ivar reported: the count that the store last took.
    :ivar refresh: asks for members and total though nobody waits for them.
    :ivar members: user id -> connections, the latest last, as tuples, at which the garbage collector looks but once.
    :ivar newest: members whose latest subscription has ended while others go on: what it said of them still stands.
    :ivar changed: members whose connections changed since the last report.
    """

    app_id: str
    channel: str
    count: int = 0
    reported: int = 0
    limit: int = 0
    presence: bool = False
    refresh: bool = False
    members: dict[str, tuple[Member, ...]] = field(default_factory=dict)
    newest: dict[str, Member] = field(default_factory=dict)
    changed: dict[str, Change] = field(default_factory=dict)
    waiting: list[tuple[str | None, Done]] = field(default_factory=list)

    @property
    def quiet(self) -> bool:
        """The count says all of it, and the store has taken that."""
        return not (self.presence or self.refresh or self.waiting or self.changed) and self.count == self.reported

    def add_member(self, member: Member) -> None:
        """One more connection of a member, whose latest it is now."""
        self.members[member.user_id] = (*self.members.get(member.user_id, ()), member)
        self.newest.pop(member.user_id, None)
        self.note({member.user_id: Change(member, joined=True)})

    def remove_member(self, member: Member) -> bool:
        """One connection of a member less; whether it was the last one here."""
        user_id = member.user_id
        connections = self.members.get(user_id, ())
        if member in connections:
            if member == connections[-1]:
                self.newest.setdefault(user_id, member)
            at = connections.index(member)
            connections = self.members[user_id] = connections[:at] + connections[at + 1 :]
        gone = not connections and self.members.pop(user_id, None) is not None
        if not connections:
            self.newest.pop(user_id, None)
        self.note({user_id: Change(member, left="" if connections else member.socket_id)})
        return gone

    def note(self, changes: Mapping[str, Change]) -> None:
        """These happened after what is to be reported already."""
        for user_id, change in changes.items():
            before = self.changed.get(user_id)
            self.changed[user_id] = before.then(change) if before is not None else change

    def shown(self, user_id: str) -> Member | None:
        """The latest subscription of a member here, None if they have no connection here."""
        connections = self.members.get(user_id)
        return self.newest.get(user_id, connections[-1]) if connections else None

    def roster(self) -> dict[str, str]:
        """user id -> user_info, as this worker knows them."""
        return {user_id: member.user_info for user_id in self.members if (member := self.shown(user_id))}

    def report(self, interest_of: InterestOf) -> Report:
        """The count, and what has changed of its members."""
        # Limits are for subscriptions that are pending. One that was confirmed while the store was away stays.
        limit = self.limit if self.waiting else 0
        interest = interest_of(self.app_id, self.channel)
        if not self.presence:
            return Report(self.app_id, self.channel, self.count, limit, *interest)
        waiting = {user_id for user_id, _ in self.waiting}
        return Report(
            self.app_id,
            self.channel,
            self.count,
            limit,
            *interest,
            roster=self.refresh or bool(waiting),
            members=tuple(self._member_report(change, waiting) for change in self.changed.values()),
        )

    def _member_report(self, change: Change, waiting: Collection[str | None]) -> MemberReport:
        shown = self.shown(change.member.user_id) or change.member
        return MemberReport(
            user_id=shown.user_id,
            count=len(self.members.get(shown.user_id, ())),
            user_info=shown.user_info,
            socket_id=shown.socket_id,
            data=shown.data,
            limit=shown.limit if shown.user_id in waiting else 0,
            since_us=shown.since_us,
            joined=change.joined,
            left=change.left,
        )
