"""Who holds what: the occupancy store, what is reported to it and what it answers.

Types only; the memory driver is the model of the others: same answers, same transitions for the same history.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.app import Retention


@dataclass(frozen=True, slots=True)
class MemberReport:
    """One member of a presence channel as this worker holds it now.

    :param count: connections of this member here, absolute; 0 says that the last one left.
    :param user_info: JSON text, "" when the subscription had none.
    :param socket_id: the connection that caused the change, for the webhook.
    :param data: the subscription's channel_data, for the member_added webhook.
    :param limit: members allowed in the channel; only a user who is new to the whole channel can exceed it.
        0 is no limit.
    :param since_us: when the subscription that `user_info` is of was authorised, by this worker's clock.
    :param joined: a subscription was authorised since the last report: its `user_info` replaces what another worker's
        had, whatever their clocks say. Otherwise it does so only if its `since_us` is later (N-21).
    :param left: since the last report the member was without any connection here and has joined again; the socket that
        it left with. Two changes, if no other worker holds the member and `user_info` is another one.
    """

    user_id: str
    count: int
    user_info: str = ""
    socket_id: str = ""
    data: str = ""
    limit: int = 0
    since_us: int = 0
    joined: bool = False
    left: str = ""


class Interest(NamedTuple):
    """What is emitted and announced of one channel's occupancy.

    :param watched: whether some webhook of the app wants occupied or vacated of this channel.
    :param members_watched: the same for member_added and member_removed, or whether they are kept.
    :param settle_ms: how long vacated and member_removed wait for a return.
    :param announced: whether its total is announced to workers: of a user's own channel when it becomes or ceases to be
        occupied (on `watch_channel`), of any other channel every change (on the channel itself).
    :param counted: whether some webhook of the app wants its subscription_count (N-36).
    """

    watched: bool = False
    members_watched: bool = False
    settle_ms: int = 0
    announced: bool = False
    counted: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker holds in one channel now. Absolute facts: reporting the same again changes nothing.

    :param count: this worker's subscriptions to the channel, absolute.
    :param limit: subscriptions allowed in the whole cluster (0 is no limit); a report that would raise the total
        above it is not applied at all and answered with `Answer.refused`.
    :param watched: this and the next four as in `Interest`.
    :param roster: whether the answer must carry version and members (presence channels).
    """

    app_id: str
    channel: str
    count: int
    limit: int = 0
    watched: bool = False
    members_watched: bool = False
    settle_ms: int = 0
    announced: bool = False
    counted: bool = False
    roster: bool = False
    members: tuple[MemberReport, ...] = ()


@dataclass(slots=True)
class Answer:
    """The state of one reported channel right after the report was applied.

    :param total: subscriptions in the whole cluster.
    :param version: grows with every membership change of the channel; 0 when no roster was asked for.
    :param roster: user id -> user_info JSON text, when asked for.
    :param refused: the report's `limit` would have been exceeded; nothing was applied.
    :param refused_members: user ids that would have exceeded their `limit`; all else was applied.
    """

    total: int
    version: int = 0
    roster: dict[str, str] | None = None
    refused: bool = False
    refused_members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of occupancy or membership, or a new count, that some webhook or presence history wants, decided
    once.

    :param id: the driver's own handle, given back to `OccupancyStore.commit`.
    :param name: channel_occupied, channel_vacated, member_added, member_removed or subscription_count.
    :param seq: grows with every transition of the same channel; also its time in microseconds.
    :param time_ms: when the change happened. :param due_ms: when it may be emitted.
    :param data: channel_data of a member_added, the number of a subscription_count.
    """

    id: bytes
    name: str
    app_id: str
    channel: str
    seq: int
    time_ms: int
    due_ms: int
    user_id: str = ""
    socket_id: str = ""
    data: str = ""


class KeptChange(NamedTuple):
    """A coming or going that the channel's presence history keeps. :param payload: of `history/presence.py`."""

    app_id: str
    channel: str
    retention: Retention
    payload: bytes


@dataclass(frozen=True, slots=True)
class Due:
    """Transitions that may be emitted now, in order, and when the next one will be (None: nothing waits)."""

    transitions: Sequence[Transition]
    next_due_in_ms: int | None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A member joined or left a presence channel, somewhere in the cluster; announced to all workers at once.

    A member who is there and joins again has another `user_info` from now on, of which no subscriber is notified."""

    app_id: str
    channel: str
    version: int
    added: bool
    user_id: str
    user_info: str


@dataclass(frozen=True, slots=True)
class TotalChange:
    """The subscriptions of an announced channel have changed; announced to the workers that subscribe to `channel`.

    :param channel: the channel itself or, for a user's own channel, its `watch_channel`.
    :param version: grows with every change in the cluster.
    """

    app_id: str
    channel: str
    version: int
    total: int


@dataclass(frozen=True, slots=True)
class ChannelsPage:
    """Some of an application's channels, for people.

    :param rows: names with their subscriptions, in no order. :param after: where the next page begins; "" is the end.
        A page may have no rows and not be the last. :param total: of all channels of that table.
    """

    rows: Sequence[tuple[str, int]]
    after: str
    total: int


@dataclass(frozen=True, slots=True)
class MembersPage:
    """Some members of a channel. :param rows: user ids. :param after: as in `ChannelsPage`. :param total: of all."""

    rows: Sequence[str]
    after: str
    total: int


class OccupancyPages(Protocol):
    """Who is where, page by page. One page costs the same however many channels and members there are; what changes
    between two pages may be missed or come twice.

    Every method may raise StoreUnavailable, and ValueError for an `after` that no page gave."""

    async def channels(self, app_id: str, prefix: str, after: str, limit: int) -> ChannelsPage:
        """Up to `limit` channels whose names begin with `prefix`; of server-owned ones where the prefix begins so."""

    async def members(self, app_id: str, channel: str, after: str, limit: int) -> MembersPage:
        """Up to `limit` members of a presence channel."""

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        """As `OccupancyStore.counts`."""


class OccupancyStore(Protocol):
    """The truth about who occupies what. Every method may raise StoreUnavailable.

    The memory driver is the model of the others: same answers, same transitions for the same history.

    :ivar epoch: as of the last `join` or `heartbeat`.
    """

    epoch: str

    async def join(self, incarnation: str) -> str:
        """Make an incarnation known and alive. Must come before its first report.

        Returns the epoch: another one than before says that the store has lost data since."""

    async def heartbeat(self, incarnation: str) -> bool:
        """Note that it is alive; False when the cluster has given it up."""

    async def leave(self, incarnation: str) -> None:
        """Declare it dead at once: the leader then purges what it held."""

    async def report(self, incarnation: str, reports: Sequence[Report]) -> list[Answer]:
        """Apply all reports atomically, in order. Raises IncarnationGone when given up."""

    async def emit_current(self, reports: Sequence[Report]) -> None:
        """Emit the current state of these channels (where `watched`) and members (where `members_watched`) as
        transitions, at once. Called after data loss, when nobody knows which webhooks were sent last."""

    def held(self, incarnation: str) -> AsyncIterator[Mapping[tuple[str, str, str | None], int]]:
        """What the store believes it holds: (app, channel, None) -> subscriptions, (app, channel, user) -> members.

        In pages of some thousand facts at most. What changes meanwhile may be in it or not, or twice."""

    async def channels(self, app_id: str, prefix: str = "") -> dict[str, int]:
        """Occupied channels and their subscriptions; server-owned channels (`#...`) are left out."""

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        """(subscriptions, members) of each channel, 0 where nobody is."""

    async def totals(self, app_id: str, channels: Sequence[str]) -> tuple[int, list[int]]:
        """Subscriptions of server-owned channels, all at one moment, and the version of that moment: every
        `TotalChange` up to it is in them, every later one is not."""

    async def members(self, app_id: str, channel: str) -> dict[str, str]:
        """user id -> user_info JSON text."""

    async def acquire(self, incarnation: str, ttl_ms: int) -> bool:
        """Take or renew the leader's lease; True while this incarnation is the leader."""

    async def release(self, incarnation: str) -> None:
        """Give the lease back, if held."""

    async def expired(self, timeout_ms: int) -> list[str]:
        """Incarnations that left, were declared dead, or sent no heartbeat for so long; a started purge included."""

    async def purge(
        self,
        leader: str,
        dead: str,
        interest_of: InterestOf,
        limit: int,
        undoing: Callable[[Report], None] | None = None,
    ) -> bool:
        """Undo up to `limit` facts of a dead incarnation, as if its clients had left; True while more remains.

        :param undoing: called with each report that takes facts back, before it is sent, if the store can lose data."""

    async def due(self, limit: int) -> Due:
        """Up to `limit` transitions whose time has come, in order."""

    @property
    def pushes_jobs(self) -> bool:
        """Whether `commit` and `push` take jobs; if not, they must be in the queue before a commit."""

    async def commit(
        self,
        leader: str,
        emitted: Sequence[Transition],
        jobs: Sequence[tuple[str, bytes]],
        kept: Sequence[KeptChange] = (),
    ) -> bool:
        """Remove emitted transitions, push jobs ((Redis list, payload)) and keep changes, in order; all or nothing.

        False, with nothing done, when `leader` no longer holds the lease or one of the transitions was cancelled
        meanwhile by a return."""

    async def push(self, jobs: Sequence[tuple[str, bytes]]) -> None:
        """Push jobs that no transition made, behind those of all transitions that may be emitted by now."""

    async def audit(self, leader: str, apps: Sequence[str], interest_of: InterestOf, limit: int) -> int:
        """Compare the next `limit` shared figures with the facts they are made of; how many had to be mended.

        :param apps: ids of the apps whose channels are looked at."""


class InterestOf(Protocol):
    """Answers for a dead worker's channel what its own reports would have said."""

    def __call__(self, app_id: str, channel: str) -> Interest: ...
