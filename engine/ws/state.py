"""What ws/ keeps for one connection beside its socket: as little as possible, since most connections are idle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine._fast.hub import Pending
from engine.interfaces import Answer
from engine.occupancy.reporter import Member


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
    """Mutable state of one connection; containers are made when first needed."""

    __slots__ = (
        "address",
        "counted",
        "counting",
        "event_count",
        "event_window_s",
        "joining",
        "members",
        "messages",
        "refusal",
        "user",
        "waiting",
    )

    def __init__(self) -> None:
        #: Why the connection was accepted only to be refused (C-6).
        self.refusal: Exception | None = None
        #: Messages that came before the connection was admitted, in order (C-13); None once it is.
        self.waiting: list[bytes] | None = None
        #: Where it comes from, while the connections of that address are being counted.
        self.address: str | None = None
        #: The callback by which it is admitted, while the app's connections are being counted.
        self.counting: Callable[[Answer, bool], None] | None = None
        #: It is one of the app's connections that the cluster has counted, or is about to.
        self.counted = False
        self.user: User | None = None
        #: Presence channels this connection is in -> as which member.
        self.members: dict[str, Member] | None = None
        self.joining: dict[str, Joining] | None = None
        #: Client events in the current second, for the limit of E-8.
        self.event_window_s = 0
        self.event_count = 0
        #: The window of the app's limit of messages, and how many there were in it.
        self.messages: list[int] | None = None
