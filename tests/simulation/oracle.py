"""What must follow from what workers report, worked out anew and simply; the scripts are held to it after every run.

Knows facts only (who holds what): somebody holds a channel or nobody does. Knows nothing of keys, counters or holders.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import orjson

from engine.interfaces import MemberReport, Report
from engine.occupancy import redis_wire
from engine.occupancy.redis_wire import decode_transition
from tests.simulation.heard import Heard
from tests.simulation.lives import Lives, Violation
from tests.simulation.server import Done

#: Sequence numbers may run so far ahead of the clock, when many changes fall on one microsecond.
BLUR_US = 1000
COME = {"": "channel_occupied", "u": "member_added"}
GONE = {"": "channel_vacated", "u": "member_removed"}


#: (channel, user id or "").
Fact = tuple[str, str]


@dataclass(slots=True)
class Told:
    """One expected entry of the log. :ivar by: the incarnation whose fact it was."""

    name: str
    fact: Fact
    due_us: int
    settles: bool
    by: str


@dataclass(slots=True)
class State:
    """What a server knows: facts, the transitions that wait, and who lives. An empty one knows nothing."""

    facts: dict[str, dict[Fact, int]] = field(default_factory=dict)
    log: dict[bytes, Told] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    turns: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class Oracle:
    """:ivar facts: incarnation -> (channel, user or "") -> how many. :ivar history: events in the order of jobs."""

    lives: Lives
    facts: dict[str, dict[Fact, int]] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    _log: dict[bytes, Told] = field(default_factory=dict)
    _heard: Heard = field(default_factory=Heard)
    #: The server's clock when it was furthest: what was due then stays due, should it step back.
    _latest_us: int = 0

    def state(self) -> State:
        """What the server knows now."""
        return deepcopy(State(self.facts, self._log, self.lives.known, self.lives.given_up, self.lives.turns))

    def lost(self, state: State) -> None:
        """The server knows no more than this; what has been told stays told."""
        self.facts, self._log = deepcopy((state.facts, state.log))
        self.lives.lost(state.known, state.given_up, state.turns)
        self._heard.lost(BLUR_US)

    def waiting(self) -> list[Told]:
        """What has been decided and not told yet."""
        return list(self._log.values())

    def holders(self, fact: Fact) -> int:
        return sum(1 for facts in self.facts.values() if facts.get(fact))

    def total(self, channel: str) -> int:
        return sum(facts.get((channel, ""), 0) for facts in self.facts.values())

    def members(self, channel: str) -> set[str]:
        return {
            user
            for facts in self.facts.values()
            for (place, user), n in facts.items()
            if place == channel and user and n
        }

    def check(self, done: Done) -> None:
        """Compare what a script did with what it should have done."""
        self.lives.check(done)
        self._latest_us = max(self._latest_us, done.clock_us)
        reports: list[Report] = []
        answers: list[Any] = []
        match done.name:
            case "occupancy_report" if isinstance(done.reply, list):
                reports, answers = decode_reports(done.args[5:]), done.reply
                worker = done.args[1].decode()
            case "occupancy_purge" if done.reply >= 0:
                reports = decode_reports(done.args[4:])
                worker = done.args[2].decode()
            case "occupancy_commit" if done.reply == 1:
                self._check_commit(done)
                return
            case "occupancy_emit_current":
                self._check_log(done, list(self._retold(decode_reports(done.args[1:]), done.clock_us)))
                return
            case "occupancy_audit" if done.reply[0] > 0 or done.reply[1]:
                raise Violation(f"the audit found {done.reply[0]} figures wrong, and keys of others {done.reply[1]}")
        expected: list[Told] = []
        for n, report in enumerate(reports):
            answer = answers[n] if answers else None
            if isinstance(answer, list) and answer[1] == 1:
                if self._fits(worker, report):
                    raise Violation(f"{report} of {worker} was refused without need")
                continue
            if not self._fits(worker, report):
                raise Violation(f"{report} of {worker} is too much, and was taken")
            refused = {user.decode() for user in answer[4]} if isinstance(answer, list) else set()
            for fact, before in self._apply(worker, report, refused):
                self._change(worker, report, fact, before, done.clock_us, expected)
                self._check_limit(report, fact, before)
            if answer is not None:
                self._check_answer(report, answer)
        self._heard.check(done)
        for report, answer in zip(reports, answers, strict=False):
            if isinstance(answer, list) and answer[1] == 0 and answer[3] is not None:
                self._heard.roster(report.channel, answer)
        self._check_log(done, expected)
        if done.name == "occupancy_purge" and done.reply == 0 and any(self.facts.pop(worker, {}).values()):
            raise Violation(f"{worker} is forgotten and still holds something")

    # --- facts

    def _apply(self, worker: str, report: Report, refused: set[str]) -> Iterator[tuple[Fact, int]]:
        """Take over one report; each fact that changed and how many workers held it before, in order of telling."""
        mine = self.facts.setdefault(worker, {})
        place = (report.channel, "")
        count = mine.get(place, 0) if report.count < 0 else report.count
        users = {member.user_id: member.count if count else 0 for member in report.members}
        if not count:
            users |= {user: 0 for channel, user in list(mine) if channel == report.channel and user}
        changes = [((report.channel, user), n) for user, n in users.items() if user not in refused]
        changes.insert(0 if count >= mine.get(place, 0) else len(changes), (place, count))
        for fact, n in changes:
            before = self.holders(fact)
            mine[fact] = n
            yield fact, before

    def _change(
        self, worker: str, report: Report, fact: Fact, before: int, clock_us: int, expected: list[Told]
    ) -> None:
        channel, user = fact
        after, kind = self.holders(fact), "u" if user else ""
        if user and (before > 0) != (after > 0):
            self._heard.expected.append((channel, user, after > 0))
        watched = report.members_watched if user else report.watched
        if (before > 0) == (after > 0) or not watched or channel.startswith("#"):
            return
        if not after:
            settles = report.settle_ms > 0
            expected.append(Told(GONE[kind], fact, clock_us + report.settle_ms * 1000, settles, worker))
            return
        # At most one settles: it is told in the end, or somebody is back in time, or somebody was back too late.
        pending = next((told for told in self._log.values() if told.fact == fact and told.settles), None)
        if pending is not None and clock_us < pending.due_us:
            pending.name = ""
            return
        if pending is not None:
            pending.settles = False
        expected.append(Told(COME[kind], fact, clock_us, False, worker))

    def _retold(self, reports: list[Report], clock_us: int) -> Iterator[Told]:
        for report in reports:
            facts = [(report.channel, member.user_id) for member in report.members if report.members_watched]
            if report.watched:
                facts.insert(0 if self.total(report.channel) else len(facts), (report.channel, ""))
            for fact in facts:
                for told in self._log.values():
                    if told.fact == fact and told.settles:
                        told.name = ""
                names = COME if self.holders(fact) else GONE
                yield Told(names["u" if fact[1] else ""], fact, clock_us, False, "")

    # --- comparison

    def _check_log(self, done: Done, expected: list[Told]) -> None:
        cancelled = {entry for entry, told in self._log.items() if not told.name}
        gone = self._log.keys() - done.log.keys()
        if gone != cancelled:
            raise Violation(f"{done.name}: {gone ^ cancelled} should have been cancelled, or was and should not")
        for entry in gone:
            del self._log[entry]
        new = [entry for entry in done.log if entry not in self._log]
        seqs = sorted(new)
        found = [_read(entry, done.log[entry]) for entry in seqs]
        if [(told.name, told.fact) for told in found] != [(told.name, told.fact) for told in expected]:
            raise Violation(f"{done.name} has decided {found}, and should have {expected}")
        for entry, is_, should in zip(seqs, found, expected, strict=True):
            if abs(is_.due_us - should.due_us) > BLUR_US:
                raise Violation(f"{is_} is due at the wrong time; should be {should.due_us}")
            is_.settles, is_.by = should.settles, should.by
            self._log[entry] = is_

    def _check_commit(self, done: Done) -> None:
        n = int(done.args[2])
        told = list(done.args[3 : 3 + 2 * n : 2])
        gone = self._log.keys() - done.log.keys()
        if gone != set(told) or len(told) != len(set(told)):
            raise Violation(f"the commit of {told} took {gone} out of the log")
        events = [event for job in done.jobs for event in orjson.loads(orjson.loads(job)["body"])["events"]]
        queued = Counter((event["name"], event["channel"], event["seq"]) for event in events)
        wanted = Counter((told.name, told.channel, told.seq) for entry in gone if (told := decode_transition(entry, 0)))
        if queued != wanted:
            raise Violation(f"told {wanted}, queued {queued}")
        if early := [self._log[entry] for entry in gone if self._log[entry].due_us > self._latest_us]:
            raise Violation(f"told before their time: {early}")
        for entry in gone:
            del self._log[entry]
        self.history += events

    def _check_answer(self, report: Report, answer: Any) -> None:
        total = answer if isinstance(answer, int) else answer[0]
        if total != self.total(report.channel):
            raise Violation(f"{report.channel}: answered {total}, held are {self.total(report.channel)}")
        if isinstance(answer, list) and answer[3] is not None:
            members = {user.decode() for user in answer[3][::2]}
            if members != self.members(report.channel):
                held = self.members(report.channel)
                raise Violation(f"{report.channel}: answered members {members}, held are {held}")

    def _fits(self, worker: str, report: Report) -> bool:
        more = report.count - self.facts.get(worker, {}).get((report.channel, ""), 0)
        return more <= 0 or not report.limit or self.total(report.channel) + more <= report.limit

    def _check_limit(self, report: Report, fact: Fact, before: int) -> None:
        """Right after a fact was taken over."""
        channel, user = fact
        most = next((member.limit for member in report.members if member.user_id == user), 0)
        if user and self.holders(fact) > before == 0 and 0 < most < len(self.members(channel)):
            raise Violation(f"{channel} has {len(self.members(channel))} members")


def decode_reports(args: tuple[bytes, ...]) -> list[Report]:
    """The opposite of `redis_wire.encode_reports`; which answers are wanted is left out."""
    reports, at = [], 0
    while at < len(args):
        app, channel = args[at].decode(), args[at + 1].decode()
        count, limit, flags, settle_ms, n = map(int, args[at + 2 : at + 7])
        at += 7
        members = []
        for _ in range(n):
            user, connections, info, sock, data, most = args[at : at + 6]
            members.append(
                MemberReport(user.decode(), int(connections), info.decode(), sock.decode(), data.decode(), int(most))
            )
            at += 9
        reports.append(
            Report(
                app,
                channel,
                count,
                limit,
                watched=bool(flags & redis_wire._WATCHED),
                members_watched=bool(flags & redis_wire._MEMBERS_WATCHED),
                settle_ms=settle_ms,
                members=tuple(members),
            )
        )
    return reports


def _read(entry: bytes, score: float) -> Told:
    transition = decode_transition(entry, score)
    if transition is None:
        raise Violation(f"{entry!r} is no transition")
    return Told(transition.name, (transition.channel, transition.user_id), int(score), False, "")
