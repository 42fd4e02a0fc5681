"""Every error the engine raises on purpose, and the code tables of the wire.

EngineError
├── ConfigError         the start is refused; one readable line
├── PusherError         sent to a WebSocket client as pusher:error (docs/protocol.md 1.5)
├── ApiError            sent to an HTTP API caller as JSON
├── StoreUnavailable    shared state (Redis) cannot be reached now; callers go on with what is local
│   ├── StoreUnsuitable  it can be reached, but not all that the engine does is possible there, or allowed
│   └── Unconfirmed      what was sent there has no answer; nobody knows whether it was taken
├── SourceUnavailable   the database that holds the applications cannot be read now; the copy goes on serving
├── IncarnationGone     this worker's incarnation was purged; it must take a new one and announce all
└── DeliveryError       a webhook attempt that did not end with a 2xx
"""

from __future__ import annotations

from enum import IntEnum
from http import HTTPStatus


class EngineError(Exception):
    """Base of everything the engine raises on purpose."""


class ConfigError(EngineError):
    """The configuration cannot be used; the text names the key, the value and what is allowed."""


class StoreUnavailable(EngineError):
    """Shared state cannot be reached now. Nothing was lost that the caller still holds.

    :ivar counted: by `peers/guard.py`. :cvar may_be_taken: what could not be done may be done all the same.
    """

    counted = False
    may_be_taken = False


class StoreUnsuitable(StoreUnavailable):
    """The server, or the rights of its user, do not do for the engine; the text names what is missing."""


class Unconfirmed(StoreUnavailable):
    """A command was sent, and its answer will not come. It is not sent again: it may have been done."""

    may_be_taken = True


class SourceUnavailable(EngineError):
    """The database that holds the applications cannot be read now; the text is one line without a secret."""


class IncarnationGone(EngineError):
    """The cluster has declared this incarnation dead and gives away what it held."""


class DeliveryError(EngineError):
    """One webhook attempt failed; the text is what the dead letter will say."""


class CloseCode(IntEnum):
    """Close codes of the Pusher protocol, each with when it is sent and what pusher-js does (C-27).

    4000-4099: the client must not come back as it is; 4100-4199: it may come back later; 4200-4299: it may
    come back at once. 43xx never closes a connection, it only labels a pusher:error. The codes of RFC 6455 are sent by
    `_fast/connection.pyx` alone, and stand there.
    """

    #: The app takes TLS only. The client comes back with TLS.
    TLS_ONLY = 4000
    #: No app has this key, or the app was deleted. The client gives up.
    UNKNOWN_APP = 4001
    #: The app is switched off. The client gives up.
    APP_DISABLED = 4003
    #: The app has as many connections as it may. The client gives up.
    OVER_QUOTA = 4004
    #: The path of the upgrade request is none of the protocol's. The client gives up.
    PATH_NOT_FOUND = 4005
    #: The protocol version is no number. The client gives up.
    INVALID_VERSION = 4006
    #: The protocol version is none that is spoken here. The client gives up.
    UNSUPPORTED_VERSION = 4007
    #: Not signed in in time, from a foreign origin, or ended by the back end. The client gives up.
    UNAUTHORIZED = 4009
    #: Too much of something, or a slow consumer. The client comes back, later and later.
    OVER_CAPACITY = 4100
    #: The server goes away, or the client's state here is lost. The client comes back at once.
    RECONNECT = 4200
    #: No pong came in time. The client comes back at once.
    PONG_TIMEOUT = 4201
    #: A message that means nothing here, or is not allowed. The connection stays.
    GENERIC = 4300
    #: A client event was over the rate or not allowed. The connection stays; the event was not sent.
    CLIENT_EVENT_REJECTED = 4301
    #: The watchlist is longer than allowed. The connection stays, without a watchlist.
    WATCHLIST_LIMIT = 4302


class Refused(EngineError):
    """An error for a client or a back end.

    :ivar remedy: what the operator can do about it; for the log alone, and the same for all errors of a kind.
    :ivar instance: a sentence about this very one, with a space behind it; it stands before the remedy.
    """

    message: str
    remedy: str
    instance = ""

    @property
    def in_short(self) -> str:
        """Without what was sent, which may be anybody's data."""
        return self.message.partition(":")[0]


class PusherError(Refused):
    """An error for one WebSocket client.

    :param code: a `CloseCode`, or None where hosted Pusher sends ``"code": null``.
    :param channel: the channel it is about; it travels as a top-level member so that no client library
        mistakes a channel's problem for the connection's (C-30).
    """

    def __init__(self, code: CloseCode | None, message: str, channel: str | None = None, *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy
        self.code = code
        self.message = message
        self.channel = channel

    @property
    def closes(self) -> bool:
        """Whether the connection is closed with this code after the error frame."""
        return self.code is not None and self.code < CloseCode.GENERIC


class SubscriptionError(PusherError):
    """A refused subscription, sent as pusher:subscription_error (N-15); the connection stays open.

    :param kind: ``AuthError``, ``LimitReached`` or ``ServerError``.
    :param status: the number in the frame's ``status`` member.
    """

    def __init__(
        self, channel: str, message: str, *, kind: str = "AuthError", status: int = 401, remedy: str = ""
    ) -> None:
        super().__init__(None, message, channel, remedy=remedy)
        self.kind = kind
        self.status = status


class ApiError(Refused):
    """An HTTP API answer other than 200: ``{"error": text, "code": token, "status": n}`` (D-14)."""

    def __init__(
        self,
        status: HTTPStatus,
        token: str,
        message: str,
        headers: dict[str, str] | None = None,
        *,
        remedy: str = "",
    ) -> None:
        super().__init__(message)
        self.remedy = remedy
        self.status = status
        self.token = token
        self.message = message
        self.headers = headers or {}
