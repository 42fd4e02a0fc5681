"""What this worker holds: its subscriptions and members by channel, and what of them is yet to be reported.

Pure: no task, no clock, no store. The reporter takes reports out, and says what became of them. A channel of which
there is nothing to report and nobody waits is a number and no object: a worker has tens of thousands of them, and its
garbage collector would look at each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from engine._fast.member import Member
from engine.interfaces import Answer, InterestOf, Report
from engine.occupancy.local_channel import Change, Done, LocalChannel

#: (app id, channel).
Key = tuple[str, str]
#: (app id, channel, user id, or None for the channel's subscriptions).
Fact = tuple[str, str, str | None]


class Taken(NamedTuple):
    """One channel's report on its way, with all that it answers for."""

    local: LocalChannel
    report: Report
    changed: dict[str, Change]
    waiting: list[tuple[str | None, Done]]


class LocalState:
    """However much is held, one call looks at a slice of it only; the loop turns between two of them.

    :ivar present: app id -> members of its presence channels, each once in each channel.
    """

    def __init__(self) -> None:
        #: Channels without members of which the store knows all, with their counts; in no other dict than this.
        self._quiet: dict[Key, int] = {}
        self._channels: dict[Key, LocalChannel] = {}
        self._dirty: dict[Key, LocalChannel] = {}
        #: Those of them in which somebody waits for an answer, and some in which nobody does any more.
        self._waiting: dict[Key, LocalChannel] = {}
        #: What was held at the last `announce`, is still, and `take` has not come to yet; it begins at the end.
        self._to_announce: dict[Key, None] = {}
        #: What it has come to, and no report has taken to the store since.
        self._unannounced: set[Key] = set()
        #: Channels that have changed since `watch`.
        self._moved: set[Key] | None = None
        self.present: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._quiet) + len(self._channels)

    @property
    def dirty(self) -> bool:
        """Whether something has yet to be reported."""
        return bool(self._dirty or self._to_announce)

    @property
    def announced(self) -> bool:
        """Whether the store has been told all that was held at the last `announce`."""
        return not self._to_announce and not self._unannounced

    def add(self, app_id: str, channel: str, member: Member | None, done: Done | None, limit: int) -> None:
        """One more subscription; see `Reporter.add`."""
        local = self._open(app_id, channel)
        local.count += 1
        local.limit = limit
        if member is not None:
            local.presence = True
            self.present[app_id] += member.user_id not in local.members
            local.add_member(member)
        if done is not None:
            local.waiting.append((member.user_id if member else None, done))
            self._waiting[app_id, channel] = local
        self._touch(local)

    def remove(self, app_id: str, channel: str, member: Member | None, done: Done | None) -> None:
        """One subscription less; see `Reporter.remove`."""
        if (app_id, channel) not in self._channels and (app_id, channel) not in self._quiet:
            return
        local = self._open(app_id, channel)
        local.count -= 1
        if member is not None:
            self.present[app_id] -= local.remove_member(member)
        if done is not None:
            local.waiting = [entry for entry in local.waiting if entry[1] is not done]
        self._touch(local)

    def member(self, app_id: str, channel: str, user_id: str) -> Member | None:
        """The member, by its latest subscription here; None if it has no connection here."""
        local = self._channels.get((app_id, channel))
        return local.shown(user_id) if local is not None else None

    # --- reports

    def take(self, interest_of: InterestOf, limit: int) -> list[Taken]:
        """Reports of up to `limit` channels and members (one channel is never parted), which are then not dirty."""
        self._announce_some(limit)
        batch: list[LocalChannel] = []
        for key, local in list(islice(self._dirty.items(), limit)):
            limit -= 1 + len(local.changed)
            if limit < 0 and batch:
                break
            batch.append(local)
            del self._dirty[key]
            self._waiting.pop(key, None)
        taken = [Taken(local, local.report(interest_of), local.changed, local.waiting) for local in batch]
        for local in batch:
            local.changed, local.waiting = {}, []
        return taken

    def put_back(self, batch: Sequence[Taken]) -> None:
        """They did not arrive. Nothing is lost: facts are absolute, so they go under whatever happened since."""
        for local, _, changed, waiting in batch:
            since, local.changed = local.changed, changed
            local.note(since)
            local.waiting = waiting + local.waiting
            self._dirty[local.app_id, local.channel] = local
            self._waiting[local.app_id, local.channel] = local

    def accepted(self, taken: Taken, answer: Answer) -> None:
        """The store has applied it."""
        local = taken.local
        local.reported = taken.report.count
        if not answer.refused_members:
            # A refused member may have been reported before as here; the next report takes that back.
            self._unannounced.discard((local.app_id, local.channel))

    def answer(self, taken: Taken, answer: Answer) -> None:
        """Call back the pending subscriptions; what the store knows all of is not kept, or as a number."""
        for user_id, done in taken.waiting:
            done(answer, user_id in answer.refused_members)
        local = taken.local
        key = (local.app_id, local.channel)
        if key in self._dirty or self._channels.get(key) is not local:
            return
        if local.count <= 0:
            del self._channels[key]
            self._to_announce.pop(key, None)
        elif local.quiet:
            del self._channels[key]
            self._quiet[key] = local.count

    def refused(self, taken: Taken, answer: Answer) -> None:
        """Over the channel's limit: the latest that are too many are refused, the others reported without them."""
        local, report, changed, waiting = taken
        since, local.changed = local.changed, changed
        local.note(since)
        excess = answer.total - local.reported + report.count - report.limit
        keep = max(0, len(waiting) - max(1, excess))
        local.waiting = waiting[:keep] + local.waiting
        self._waiting[local.app_id, local.channel] = local
        self._touch(local)
        for _, done in waiting[keep:]:
            done(answer, True)

    def answer_alone(self) -> None:
        """Confirm pending subscriptions from what is held here; it is to be reported all the same."""
        asking, self._waiting = self._waiting, {}
        for local in asking.values():
            waiting, local.waiting = local.waiting, []
            roster = local.roster() if local.presence else None
            for _, done in waiting:
                done(Answer(total=local.count, roster=roster), False)

    # --- trouble

    def announce(self) -> None:
        """Everything is to be reported again, and answered with what all workers hold: the store may know nothing."""
        self._to_announce = dict.fromkeys(reversed([*self._quiet, *self._channels]))
        self._unannounced = set()

    def _announce_some(self, limit: int) -> None:
        while self._to_announce and limit > 0:
            key, _ = self._to_announce.popitem()
            local = self._open(*key)
            limit -= 1 + len(local.members)
            local.reported = 0
            local.refresh = True
            for user_id in local.members:
                self._report_again(local, user_id)
            self._touch(local)
            self._unannounced.add(key)

    # --- what the comparison with the store needs

    def watch(self) -> None:
        """Note from now on what changes."""
        self._moved = set(self._dirty)

    def unwatch(self) -> None:
        self._moved = None

    def moved(self, fact: Fact) -> bool:
        """Whether it may have changed since `watch`, and with that is reported anyway."""
        return self._moved is None or (fact[0], fact[1]) in self._moved

    def count(self, fact: Fact) -> int:
        """What is held of it."""
        app_id, channel, user_id = fact
        local = self._channels.get((app_id, channel))
        if local is None:
            return self._quiet.get((app_id, channel), 0) if user_id is None else 0
        return local.count if user_id is None else len(local.members.get(user_id, ()))

    def facts(self) -> Iterator[Fact]:
        """All that is held; what has changed since the first one, `moved` says."""
        for key in [*self._quiet, *self._channels]:
            yield *key, None
            local = self._channels.get(key)
            for user_id in list(local.members) if local is not None else ():
                yield *key, user_id

    def repair(self, facts: Iterable[Fact]) -> None:
        """Report these again, whether or not they have changed."""
        for app_id, channel, user_id in facts:
            local = self._open(app_id, channel)
            if user_id is not None:
                self._report_again(local, user_id)
            self._touch(local)

    @staticmethod
    def _report_again(local: LocalChannel, user_id: str) -> None:
        if user_id not in local.changed:
            local.changed[user_id] = Change(local.shown(user_id) or Member(user_id))

    def _open(self, app_id: str, channel: str) -> LocalChannel:
        key = app_id, channel
        local = self._channels.get(key)
        if local is None:
            count = self._quiet.pop(key, 0)
            local = self._channels[key] = LocalChannel(app_id, channel, count, reported=count)
        return local

    def _touch(self, local: LocalChannel) -> None:
        key = local.app_id, local.channel
        self._dirty[key] = local
        if self._moved is not None:
            self._moved.add(key)
