"""An application as the engine uses it: limits resolved, key schedule prepared, webhook endpoints compiled.

Built once from its entry in the configuration or in a database; never changed afterwards. A changed application is a
new `App`, and two that are equal do the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol
from urllib.parse import urlsplit

from engine._fast.signature import Signer


@dataclass(frozen=True, slots=True)
class HttpTarget:
    """An address to which webhooks are posted.

    :param url: with a scheme of http or https; it may carry a user name, a password and a query, which are secrets.
    """

    kind: ClassVar[str] = "http"

    url: str = field(repr=False)

    @property
    def key(self) -> str:
        """What endpoint ids are made from: stable, and without the user, who is no part of the target."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @property
    def label(self) -> str:
        """What people may be shown: without user name, password and query."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@dataclass(frozen=True, slots=True)
class LambdaTarget:
    """An AWS Lambda function that takes webhooks; credentials come from the usual AWS chain."""

    kind: ClassVar[str] = "lambda"

    function_name: str
    region: str = "us-east-1"
    invocation_type: str = "Event"
    qualifier: str | None = None
    endpoint_url: str | None = None

    @property
    def key(self) -> str:
        """What endpoint ids are made from."""
        return f"{self.region}:{self.function_name}:{self.qualifier or ''}"

    @property
    def label(self) -> str:
        """What people may be shown."""
        return f"lambda {self.function_name} ({self.region})"


#: A webhook's target knows its kind, by which its sender is found, the key of its ids, and its label.
Target = HttpTarget | LambdaTarget


class Pattern(Protocol):
    """A regular expression; those of one text are equal."""

    def search(self, text: str, /) -> object | None:
        """A match anywhere in the text."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which channels (and client events) an endpoint wants; every given part must pass (W-22, D-2)."""

    channel_type: str | None = None
    channel_prefix: str | None = None
    channel_suffix: str | None = None
    channel_pattern: Pattern | None = None
    #: The channel's namespace is one of these.
    channel_namespaces: frozenset[str] | None = None
    event_prefix: str | None = None
    #: Whether every channel passes, which most endpoints say.
    any_channel: bool = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        parts = (self.channel_type, self.channel_prefix, self.channel_suffix, self.channel_pattern)
        any_channel = self.channel_namespaces is None and all(part is None for part in parts)
        object.__setattr__(self, "any_channel", any_channel)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Delays in seconds before each further attempt; their number is the number of retries (D-3)."""

    delays_s: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0, 16.0)
    #: No retry begins later than this after the first failure.
    max_elapsed_s: float = math.inf
    #: Each delay is multiplied by a random factor within 1 ± jitter.
    jitter: float = 0.1


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One webhook of one application.

    :param id: stable across restarts and independent of secrets; derived from the target, so that a queued job
        never reaches another target after the configuration changed.
    :param signature_format: ``prefixed`` for ``sha256=<hex>`` or ``hex`` for the bare digest (D-1).
    """

    id: str
    target: Target
    event_types: frozenset[str]
    filter: Filter = Filter()
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    signature_format: str = "prefixed"
    timeout_s: float = 10.0
    retry: RetryPolicy = RetryPolicy()


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of one channel is kept: the newest events within all three bounds, and always the very newest."""

    count: int
    window_ms: int
    bytes: int

    @property
    def forget_ms(self) -> int:
        """A channel in which nothing was published for so long is as one in which nothing ever was."""
        return max(2 * self.window_ms, 60_000)


@dataclass(frozen=True, slots=True)
class Replay:
    """What a subscriber is given of what is kept; 0 is no bound of that kind, and one of them is given."""

    count: int = 0
    window_ms: int = 0


@dataclass(frozen=True, slots=True)
class HistoryRule:
    """What is kept of the channels in whose names the pattern is found."""

    channels: Pattern
    retention: Retention
    client_events: bool = False
    replay: Replay | None = None


@dataclass(frozen=True, slots=True)
class PresenceRule:
    """How much is kept of who comes and goes in the presence channels in whose names the pattern is found."""

    channels: Pattern
    retention: Retention


@dataclass(frozen=True, slots=True)
class App:
    """One application. Every limit is resolved: 0 means unlimited where a limit can be switched off.

    Sizes are in bytes, name lengths in characters, rates in events (or requests) per second.
    """

    id: str
    key: str
    secret: str = field(repr=False)
    signer: Signer = field(repr=False, compare=False)
    #: The secret that is being replaced; signatures by it are accepted too, nothing is signed with it.
    previous_secret: str | None = field(default=None, repr=False)
    previous_signer: Signer | None = field(default=None, repr=False, compare=False)
    enabled: bool = True
    tls_only: bool = False
    max_connections: int = 0
    #: Of one connection.
    max_channels: int = 0
    client_messages: bool = False
    max_client_events_per_second: int = 0
    max_backend_events_per_second: int = 0
    max_read_requests_per_second: int = 0
    max_presence_members: int = 100
    max_presence_member_bytes: int = 2048
    max_channel_name_length: int = 200
    max_event_channels: int = 100
    max_event_name_length: int = 200
    max_event_bytes: int = 100 * 1024
    max_event_batch_size: int = 10
    user_authentication: bool = False
    user_authentication_timeout_s: float = 3600.0
    watchlist_events: bool = False
    subscription_count: bool = False
    cache_ttl_s: int = 3600
    allowed_origins: tuple[str, ...] = ()
    #: Messages of one connection in each window, and whether too many of them close it.
    max_messages: int = 0
    message_window_s: int = 1
    close_on_message_limit: bool = False
    endpoints: tuple[Endpoint, ...] = ()
    #: Empty: nothing is kept of any channel.
    history: tuple[HistoryRule, ...] = ()
    #: Empty: of no channel is kept who came and went.
    presence_history: tuple[PresenceRule, ...] = ()

    def history_rule(self, channel: str) -> HistoryRule | None:
        """The rule by which this channel's events are kept; None where they are not."""
        # A user's own channel has no history: nobody subscribes to it.
        if channel.startswith("#"):
            return None
        for rule in self.history:
            if rule.channels.search(channel):
                return rule
        return None

    def presence_retention(self, channel: str) -> Retention | None:
        """How much is kept of who comes and goes there; None where nothing is."""
        if channel.startswith("presence-"):
            for rule in self.presence_history:
                if rule.channels.search(channel):
                    return rule.retention
        return None

    def signed(self, data: bytes, signature: str) -> bool:
        """Whether this is the signature of `data` by a secret of the application."""
        if self.signer.verify(data, signature):
            return True
        return self.previous_signer is not None and self.previous_signer.verify(data, signature)
