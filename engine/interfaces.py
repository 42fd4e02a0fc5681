"""The replaceable parts of the engine, as types, and the table from a driver's word to its class.

Types only: no behaviour lives here. A use case takes the interface; `worker.py` hands it the driver that the
configuration names. Every driver passes the contract tests of its interface (`tests/contract/`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from engine.apps.app import App, Endpoint


class AppManager(Protocol):
    """Where applications come from. Look-ups are synchronous: a driver with a remote source keeps a copy."""

    def by_key(self, key: str) -> App | None: ...

    def by_id(self, app_id: str) -> App | None: ...

    def all(self) -> Sequence[App]: ...


# --- occupancy: who holds what -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemberReport:
    """One member of a presence channel as this worker holds it now.

    :param count: connections of this member here, absolute; 0 says that the last one left.
    :param user_info: JSON text, "" when the subscription had none.
    :param socket_id: the connection that caused the change, for the webhook.
    :param data: the subscription's channel_data, for the member_added webhook.
    :param limit: members allowed in the channel; only a user who is new to the whole channel can exceed it.
        0 is no limit.
    """

    user_id: str
    count: int
    user_info: str = ""
    socket_id: str = ""
    data: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What one worker holds in one channel now. Absolute facts: reporting the same again changes nothing.

    :param count: this worker's subscriptions to the channel, absolute.
    :param limit: subscriptions allowed in the whole cluster (0 is no limit); a report that would raise the total
        above it is not applied at all and answered with `Answer.refused`.
    :param watched: whether some webhook of the app wants occupied or vacated of this channel.
    :param members_watched: the same for member_added and member_removed.
    :param settle_ms: how long vacated and member_removed wait for a return.
    :param roster: whether the answer must carry version and members (presence channels).
    """

    app_id: str
    channel: str
    count: int
    limit: int = 0
    watched: bool = False
    members_watched: bool = False
    settle_ms: int = 0
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
    """A change of occupancy or membership that some webhook wants, decided once.

    :param id: the driver's own handle, given back to `OccupancyStore.commit`.
    :param name: channel_occupied, channel_vacated, member_added or member_removed.
    :param seq: grows with every transition of the same channel; also its time in microseconds.
    :param time_ms: when the change happened. :param due_ms: when it may be told.
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


@dataclass(frozen=True, slots=True)
class Due:
    """Transitions that may be told now, in order, and when the next one will be (None: nothing waits)."""

    transitions: Sequence[Transition]
    next_due_in_ms: int | None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """A member joined or left a presence channel, somewhere in the cluster; told to all workers at once."""

    app_id: str
    channel: str
    version: int
    added: bool
    user_id: str
    user_info: str


class OccupancyStore(Protocol):
    """The truth about who occupies what. Every method may raise StoreUnavailable.

    The memory driver is the model of the others: same answers, same transitions for the same history.
    """

    async def join(self, incarnation: str) -> None:
        """Make an incarnation known and alive. Must come before its first report."""

    async def heartbeat(self, incarnation: str) -> bool:
        """Note that it is alive; False when the cluster has given it up."""

    async def leave(self, incarnation: str) -> None:
        """Declare it dead at once: the leader then purges what it held."""

    async def report(self, incarnation: str, reports: Sequence[Report]) -> list[Answer]:
        """Apply all reports atomically, in order. Raises IncarnationGone when given up."""

    async def held(self, incarnation: str) -> dict[tuple[str, str, str | None], int]:
        """What the store believes it holds: (app, channel, None) -> subscriptions, (app, channel, user) -> members."""

    async def channels(self, app_id: str, prefix: str = "") -> dict[str, int]:
        """Occupied channels and their subscriptions; server-owned channels (`#...`) are left out."""

    async def counts(self, app_id: str, channels: Sequence[str]) -> list[tuple[int, int]]:
        """(subscriptions, members) of each channel, 0 where nobody is."""

    async def members(self, app_id: str, channel: str) -> dict[str, str]:
        """user id -> user_info JSON text."""

    async def acquire(self, incarnation: str, ttl_ms: int) -> bool:
        """Take or renew the leader's lease; True while this incarnation is the leader."""

    async def release(self, incarnation: str) -> None:
        """Give the lease back, if held."""

    async def expired(self, timeout_ms: int) -> list[str]:
        """Incarnations that left, were declared dead, or sent no heartbeat for so long; a started purge included."""

    async def purge(self, leader: str, dead: str, wanted: Wanted, limit: int) -> bool:
        """Undo up to `limit` facts of a dead incarnation, as if its clients had left; True while more remains."""

    async def due(self, limit: int) -> Due:
        """Up to `limit` transitions whose time has come, in order."""

    @property
    def pushes_jobs(self) -> bool:
        """Whether `commit` takes jobs; if not, they must be in the queue before."""

    async def commit(self, leader: str, told: Sequence[Transition], jobs: Sequence[tuple[str, bytes]]) -> bool:
        """Remove told transitions and push jobs ((Redis list, payload)), both or neither.

        False, with nothing done, when `leader` no longer holds the lease or one of the transitions was cancelled
        meanwhile by a return."""

    async def audit(self, leader: str, apps: Sequence[str], wanted: Wanted, limit: int) -> int:
        """Compare the next `limit` shared figures with the facts they are made of; how many had to be mended.

        :param apps: ids of the apps whose channels are looked at."""


class Wanted(Protocol):
    """Answers for a dead worker's channel what its own reports would have said."""

    def __call__(self, app_id: str, channel: str) -> tuple[bool, bool, int]:
        """(watched, members_watched, settle_ms) as in `Report`."""


# --- events between workers ----------------------------------------------------------------------------------


class Message(NamedTuple):
    """A finished frame for the subscribers of one channel.

    :param except_socket_id: the connection that gets nothing, or "".
    """

    app_id: str
    channel: str
    frame: bytes
    except_socket_id: str = ""


class Adapter(Protocol):
    """Carries finished frames to every worker that has subscribers of a channel, this one included.

    What arrives goes straight to the hub (`_fast/hub.pyx`)."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def connected(self) -> bool: ...

    def subscribe(self, app_id: str, channel: str, done: Callable[[], None]) -> None:
        """This worker has a first subscriber; `done` is called when nothing published from then on is missed."""

    def unsubscribe(self, app_id: str, channel: str) -> None:
        """This worker's last subscriber has left."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send messages in order; returns when every live worker will get them.

        Raises StoreUnavailable where that cannot be promised and the configuration forbids local delivery."""

    def send(self, message: Message) -> None:
        """The same for one message whose sender waits for nothing (client events). Order with `publish` is kept."""

    async def terminate(self, app_id: str, user_id: str) -> None:
        """Close every connection signed in as the user, anywhere."""


class CacheStore(Protocol):
    """The last event of each cache channel."""

    async def put(self, app_id: str, channel: str, event: str, data: str, ttl_s: int) -> None: ...

    async def get(self, app_id: str, channel: str) -> tuple[str, str, int] | None:
        """(event, data, whole seconds left) or None."""


@dataclass(frozen=True, slots=True)
class RateDecision:
    """Whether a request may pass, and the figures for the X-RateLimit headers; `retry_after_s` is 0 when it may."""

    allowed: bool
    limit: int
    remaining: int
    retry_after_s: int


class RateLimiter(Protocol):
    """Counts requests of a key in fixed windows."""

    async def hit(self, key: str, limit: int, window_s: int, cost: int = 1) -> RateDecision: ...


# --- webhooks ------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Job:
    """One webhook request for one endpoint, in every state from queued to dead.

    It names app and endpoint; key, secret, URL and headers are looked up when it is sent, so a queue never
    holds a secret.

    :param id: X-Webhook-Id, the same on every attempt.
    :param body: the exact bytes that are signed and sent (UTF-8 JSON with time_ms and events).
    :param channels: the channels of its events (sockets, for connection events); order is kept per endpoint and
        each of these.
    :param attempt: attempts made so far.
    :param errors: one line for each failed attempt, newest last.
    """

    id: str
    app_id: str
    endpoint_id: str
    body: str
    channels: tuple[str, ...]
    time_ms: int
    attempt: int = 0
    errors: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reserved:
    """What a consumer got from the queue.

    :param next_due_s: when the next retry comes due, in seconds from now; None when none waits.
    :param aside: lines that have jobs set aside.
    """

    jobs: list[Job]
    next_due_s: float | None = None
    aside: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a new consumer must know before its first job, both in order.

    :param reserved: jobs that this consumer holds already: none at first, all of them after a lost connection.
    :param parked: retries waiting for their time; they hold back later jobs of their channels.
    """

    reserved: list[Job]
    parked: list[Job]


class WebhookQueue(Protocol):
    """Jobs waiting for delivery. Any worker may put; one consumer at a time takes, because order is kept.

    Every method may raise StoreUnavailable; nothing is lost then, and calling it again with the same job changes
    nothing more. Methods of the consumer raise IncarnationGone when the queue has given its jobs to another. A
    *line* is ``app_id/endpoint_id``.
    """

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    @property
    def default_list(self) -> str | None:
        """The Redis list to whose tail (RPUSH) `OccupancyStore.commit` may push encoded jobs; None: there is none."""

    async def put(self, jobs: Sequence[Job]) -> None:
        """Append jobs, in order."""

    # --- the consumer

    async def attach(self, held: Sequence[Job] = ()) -> Backlog | None:
        """Become the consumer; what a dead one had reserved returns to the front. None while another one is alive.

        Also the way back after StoreUnavailable.

        :param held: jobs reserved before that; a store that lost its data gets them back from here.
        """

    async def detach(self) -> None:
        """Stop consuming; what is still reserved returns to the front."""

    async def expire(self, consumer: str) -> None:
        """A worker is known to have ended: do not wait for its lease."""

    @property
    def attached(self) -> bool:
        """Whether this is certainly still the consumer. Nothing may be sent otherwise."""

    async def reserve(self, limit: int, full: Collection[str] = ()) -> Reserved:
        """Take up to `limit` jobs, oldest first, without waiting; retries whose time has come are among them.

        A reserved job is this consumer's until acked, retried or buried. With limit 0 it only stays the consumer.

        :param full: lines that have no room: their jobs, and all later ones of the line, are set aside in order.
        """

    async def resume(self, line: str, limit: int) -> Reserved:
        """Take up to `limit` of the jobs set aside for a line, oldest first."""

    async def wait(self, timeout_s: float) -> None:
        """Return when there may be something to reserve, retries aside, or after the time."""

    async def ack(self, job: Job) -> None:
        """Delivered: forget it."""

    async def retry(self, job: Job, delay_s: float) -> None:
        """Park it (attempt and errors as now in `job`) until the delay is over."""

    async def bury(self, job: Job) -> None:
        """Given up: to the dead letters."""

    # --- for operators

    async def depth(self) -> Mapping[str, int]:
        """{"waiting": n, "reserved": n, "delayed": n, "failed": n}."""

    async def failed(self, limit: int) -> list[Job]:
        """The newest dead letters, newest first, without taking them."""

    async def requeue(self, job_id: str | None) -> int:
        """Put one dead letter (or, with None, all) back in line with a fresh attempt count; how many were moved."""

    async def purge_failed(self) -> int:
        """Forget all dead letters; how many there were."""


class WebhookSender(Protocol):
    """Sends one signed request to one endpoint, as attempt `job.attempt` + 1. Raises DeliveryError with one line."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, app: App, endpoint: Endpoint, job: Job) -> None: ...
