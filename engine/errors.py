"""Every error the engine raises on purpose, and the code tables of the wire.

EngineError
├── ConfigError         the start is refused; one readable line
├── PusherError         told to a WebSocket client as pusher:error (docs/protocol.md 1.5)
├── ApiError            told to an HTTP API caller as JSON
├── StoreUnavailable    shared state (Redis) cannot be reached now; callers go on with what is local
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
    """Shared state cannot be reached now. Nothing was lost that the caller still holds."""


class SourceUnavailable(EngineError):
    """The database that holds the applications cannot be read now; the text is one line without a secret."""


class IncarnationGone(EngineError):
    """The cluster has declared this incarnation dead and gives away what it held."""


class DeliveryError(EngineError):
    """One webhook attempt failed; the text is what the dead letter will say."""


class CloseCode(IntEnum):
    """Close codes of the Pusher protocol and the few of RFC 6455 that the engine sends.

    4000-4099: the client must not come back as it is; 4100-4199: it may come back later; 4200-4299: it may
    come back at once. 43xx never closes a connection, it only labels a pusher:error.
    """

    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    INVALID_TEXT = 1007
    MESSAGE_TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    TLS_ONLY = 4000
    UNKNOWN_APP = 4001
    APP_DISABLED = 4003
    OVER_QUOTA = 4004
    PATH_NOT_FOUND = 4005
    INVALID_VERSION = 4006
    UNSUPPORTED_VERSION = 4007
    UNAUTHORIZED = 4009
    OVER_CAPACITY = 4100
    RECONNECT = 4200
    PONG_TIMEOUT = 4201
    GENERIC = 4300
    CLIENT_EVENT_REJECTED = 4301
    WATCHLIST_LIMIT = 4302


class _Refusal(EngineError):
    """An error for somebody outside.

    :ivar remedy: what the operator can do about it; for the log alone.
    """

    message: str
    remedy: str

    @property
    def in_short(self) -> str:
        """Without what was sent, which may be anybody's data."""
        return self.message.partition(":")[0]


class PusherError(_Refusal):
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
    """A refused subscription, told as pusher:subscription_error (N-15); the connection stays open.

    :param kind: ``AuthError``, ``LimitReached`` or ``ServerError``.
    :param status: the number in the frame's ``status`` member.
    """

    def __init__(
        self, channel: str, message: str, *, kind: str = "AuthError", status: int = 401, remedy: str = ""
    ) -> None:
        super().__init__(None, message, channel, remedy=remedy)
        self.kind = kind
        self.status = status


class ApiError(_Refusal):
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
