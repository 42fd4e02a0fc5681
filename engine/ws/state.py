"""What is kept for one connection beside its socket: as little as possible, since most connections are idle.

Containers are made when something is put in and given back when the last is taken out; only the methods here know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from engine._fast.hub import Pending
from engine.errors import PusherError
from engine.interfaces import Answer
from engine.occupancy.reporter import Member


class Stage(Enum):
    """How far a connection has come; it only ever goes on, from any stage to a later one."""

    #: The connections of its address are being counted.
    CHECKING_ADDRESS = auto()
    #: The connections of its app are being counted, in the whole cluster.
    COUNTING = auto()
    #: The client has got `connection_established`.
    ADMITTED = auto()
    #: It was accepted only to send it the reason of its refusal (C-6).
    REFUSED = auto()
    #: It was left: it is in no channel and gets nothing any more; its socket may still be there.
    CLOSED = auto()


# By name of their own: before Python 3.12, finding a member by its class costs more than handling a message does.
CHECKING_ADDRESS: Final = Stage.CHECKING_ADDRESS
COUNTING: Final = Stage.COUNTING
ADMITTED: Final = Stage.ADMITTED
REFUSED: Final = Stage.REFUSED
CLOSED: Final = Stage.CLOSED


@dataclass(slots=True)
class User:
    """Who a connection has signed in as (U-2)."""

    id: str
    user_info: str
    data: str


@dataclass(slots=True)
class Joining:
    """A subscription between request and acknowledgement; `done` is set once the reporter counts it."""

    pending: Pending
    member: Member | None
    on_live: Callable[[Joining, Answer], None]
    done: Callable[[Answer, bool], None] | None = None


class ConnectionState:
    """Mutable state of one connection.

    :param refusal: why it is refused, when that is known from its request.
    """

    __slots__ = (
        "_joining",
        "_members",
        "address",
        "authorized",
        "counted",
        "early",
        "errors",
        "event_count",
        "event_window_s",
        "full_at",
        "held_by",
        "joins_until_s",
        "messages",
        "on_counted",
        "refusal",
        "stage",
        "user",
    )

    def __init__(self, refusal: PusherError | None = None) -> None:
        self.stage: Stage = CHECKING_ADDRESS if refusal is None else REFUSED
        self.refusal = refusal
        #: Where it comes from, until it is admitted; None on a Unix socket.
        self.address: str | None = None
        #: The same as long as it is one of that address's, when it is limited how many it may hold.
        self.held_by: str | None = None
        #: By what it is admitted, while it is COUNTING.
        self.on_counted: Callable[[Answer, bool], None] | None = None
        #: It is one of the app's connections that the cluster has counted, or is about to.
        self.counted = False
        self.user: User | None = None
        #: It has signed in or joined an authorised channel; that it left since does not count (U-7).
        self.authorized = False
        #: Client events in the current second, for the limit of E-8.
        self.event_window_s = 0
        self.event_count = 0
        #: The window of the app's limit of messages, and how many there were in it.
        self.messages: list[int] | None = None
        #: The same of its messages that were answered with an error.
        self.errors: list[int] | None = None
        #: Until when its joins would have taken had each come as late as it may (monotonic).
        self.joins_until_s = 0.0
        #: The limit of channels that it was found to be at, and has not left since.
        self.full_at = 0
        #: Messages that came before the connection was admitted, in order (C-13).
        self.early: list[bytes] | None = None
        self._members: dict[str, Member] | None = None
        self._joining: dict[str, Joining] | None = None

    def keep_early(self, payload: bytes, limit: int) -> bool:
        """Whether there was room for it."""
        if self.early is None:
            self.early = []
        if len(self.early) >= limit:
            return False
        self.early.append(payload)
        return True

    # --- subscriptions on their way

    def joining(self) -> Iterable[str]:
        """Channels that were asked for and not acknowledged yet."""
        return self._joining or ()

    @property
    def joining_count(self) -> int:
        return len(self._joining) if self._joining is not None else 0

    def is_joining(self, channel: str) -> bool:
        return self._joining is not None and channel in self._joining

    def remember_joining(self, channel: str, joining: Joining) -> None:
        if self._joining is None:
            self._joining = {}
        self._joining[channel] = joining

    def pop_joining(self, channel: str) -> Joining | None:
        if self._joining is None:
            return None
        joining = self._joining.pop(channel, None)
        if not self._joining:
            self._joining = None
        return joining

    def take_joining(self) -> Iterable[Joining]:
        """All of them; none is left."""
        joining, self._joining = self._joining, None
        return joining.values() if joining is not None else ()

    # --- presence channels it is in, and as which member

    def member(self, channel: str) -> Member | None:
        return self._members.get(channel) if self._members is not None else None

    def remember_member(self, channel: str, member: Member) -> None:
        if self._members is None:
            self._members = {}
        self._members[channel] = member

    def pop_member(self, channel: str) -> Member | None:
        if self._members is None:
            return None
        member = self._members.pop(channel, None)
        if not self._members:
            self._members = None
        return member
