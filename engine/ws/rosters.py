"""What this worker's subscribers of each presence channel know: the members, and up to which version.

Normally a snapshot plus every later change is right by itself. This is for when it is not: with the shared state lost
or emptied, the worker goes on answering what it knows, and afterwards notifies its subscribers of the difference only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from engine._fast.connection import Connection
from engine._fast.frame import text_frame
from engine._fast.hub import MAX_HELD_FRAMES, Channel, Hub
from engine.interfaces import MemberChange
from engine.protocol import messages


class _Roster:
    __slots__ = ("changed", "given", "members", "version", "withheld")

    def __init__(self, members: Mapping[str, str], version: int) -> None:
        self.members = dict(members)
        self.version = version
        #: Whom a new subscriber was given though nobody had announced them here. That follows, or else they were of a
        #: server that another one has replaced.
        self.given: set[str] = set()
        #: The other way round, members who are known here -> new subscribers who were not given them: their departure
        #: follows, or else the store had lost them, and those subscribers are to hear of it when they are back there.
        self.withheld: dict[str, list[Connection]] = {}
        #: While the worker is resyncing: user id -> version of its last change. An answer of the store may come after
        #: changes that are newer, and says nothing of those users then.
        self.changed: dict[str, int] = {}

    def take(self, change: MemberChange) -> None:
        self.version = change.version
        self.given.discard(change.user_id)
        self.withheld.pop(change.user_id, None)
        if change.added:
            self.members[change.user_id] = change.user_info
        else:
            self.members.pop(change.user_id, None)

    def learn(self, members: Mapping[str, str]) -> None:
        """The user_info of members who are known may have changed since."""
        for user_id in self.members.keys() & members.keys():
            self.members[user_id] = members[user_id]


class Rosters:
    """The members of this worker's presence channels, as its subscribers know them."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._known: dict[tuple[str, str], _Roster] = {}
        #: Changes in channels whose first subscriber still waits for its answer, and will be notified of them after it.
        self._early: dict[tuple[str, str], deque[MemberChange]] = {}
        #: The shared state was lost and may lack what other workers hold: a member that is missing there has not left.
        self.resyncing = False

    def joined(
        self, connection: Connection, channel: Channel, user_id: str, members: Mapping[str, str], version: int
    ) -> tuple[Mapping[str, str], bool]:
        """The members for a new subscriber, and whether that is only what is known for now; the
        others are notified here only when the store could not announce it.

        :param user_id: who the subscriber is.
        :param members: user id -> user_info, as the store has answered, or as held here when it could not (version 0).
        """
        key = (channel.app_id, channel.name)
        known = self._known.get(key)
        if known is None:
            self._known[key] = known = _Roster(members, version)
            for change in self._early.pop(key, ()):
                if change.version > known.version:
                    known.take(change)
            return members, False
        # What is held here may be older than what other workers had reported, but for who has just come.
        known.learn(members if version else {user_id: members[user_id]} if user_id in members else {})
        if version and not self.resyncing:
            known.given.update(members.keys() - known.members.keys())
            for missing in known.members.keys() - members.keys():
                late = known.withheld.setdefault(missing, [])
                late[:] = [other for other in late if self._hub.subscribed(other, channel)] + [connection]
            return members, False
        self._add(channel, known, members, version, connection)
        return dict(known.members), True

    def changed(self, change: MemberChange) -> None:
        """A member came or went somewhere in the cluster (N-21). Subscribers are notified of differences only."""
        channel = self._hub.channel(change.app_id, change.channel)
        if channel is None:
            return
        key = (change.app_id, change.channel)
        known = self._known.get(key)
        if known is None:
            # A subscriber that waits for more frames than that is cut off.
            self._early.setdefault(key, deque(maxlen=MAX_HELD_FRAMES)).append(change)
        else:
            if change.version <= known.version:
                return
            again = change.added and change.user_id in known.members
            if again:
                self._make_up(channel, known, change.user_id, change.user_info)
            known.take(change)
            if self.resyncing:
                known.changed[change.user_id] = change.version
            if again:
                return  # others were never notified that the member left; only its user_info can be another
        if change.added:
            _notify(channel, messages.member_added(channel.name, change.user_id, change.user_info), change.version)
        else:
            _notify(channel, messages.member_removed(channel.name, change.user_id), change.version)

    def resync(self, app_id: str, name: str, members: Mapping[str, str], version: int, final: bool) -> None:
        """The store has answered again.

        :param final: every worker has had time to report, so a member that is missing has left.
        """
        channel = self._hub.channel(app_id, name)
        known = self._known.get((app_id, name))
        if channel is None or known is None:
            return
        newer = {user_id for user_id, changed_at in known.changed.items() if changed_at > version}
        there = {user_id: info for user_id, info in members.items() if user_id not in newer} if newer else members
        known.learn(there)
        self._add(channel, known, there, version, None)
        for user_id in known.withheld.keys() & there.keys():
            self._make_up(channel, known, user_id, there[user_id])
        if final:
            for user_id in (known.members.keys() | known.given) - members.keys() - newer:
                known.members.pop(user_id, None)
                _notify(channel, messages.member_removed(name, user_id), version)
            known.given.clear()
            known.withheld.clear()
            known.changed.clear()
        known.version = max(known.version, version)

    def forget(self, channel: Channel) -> None:
        """This worker has no subscriber of the channel any more."""
        self._known.pop((channel.app_id, channel.name), None)
        self._early.pop((channel.app_id, channel.name), None)

    def _make_up(self, channel: Channel, known: _Roster, user_id: str, user_info: str) -> None:
        """Notify those from whom this member was withheld."""
        frame = text_frame(messages.member_added(channel.name, user_id, user_info))
        for connection in known.withheld.pop(user_id, ()):
            if self._hub.subscribed(connection, channel):
                connection.send(frame)

    @staticmethod
    def _add(
        channel: Channel, known: _Roster, members: Mapping[str, str], version: int, joining: Connection | None
    ) -> None:
        """Those of `members` that were not known become known, to all but the one that is joining."""
        for user_id, user_info in members.items():
            if user_id not in known.members:
                known.members[user_id] = user_info
                _notify(channel, messages.member_added(channel.name, user_id, user_info), version, joining)


def _notify(channel: Channel, payload: bytes, version: int, excluded: Connection | None = None) -> None:
    channel.broadcast(text_frame(payload), excluded, version)
