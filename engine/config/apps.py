"""Where applications come from and what one entry may say (docs/protocol.md 7.3).

Judges only single values; what needs two entries, as duplicates do, is in `loading/checks.py`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config.base import Flag, Limit, Section, listed, text, whole, word
from engine.config.history import HistoryRuleConfig, PresenceRuleConfig
from engine.config.limits import Kilobytes, MessageRateLimit, NameLength
from engine.config.option_path import snake_case
from engine.config.webhook_endpoint import WebhookConfig

#: How sockudo groups an application's options below `policy`.
POLICY_GROUPS = ("limits", "features", "channels")
#: Names that soketi takes as well, in our form -> the usual ones; its tables have some of them.
_SOKETI_NAMES = {
    "app_id": "id",
    "app_key": "key",
    "app_secret": "secret",
    "max_backend_events_per_sec": "max_backend_events_per_second",
    "max_client_events_per_sec": "max_client_events_per_second",
    "max_read_req_per_sec": "max_read_requests_per_second",
}

_ID = "1 to 128 letters, digits or _ . : @ = -"
_KEY = "1 to 128 visible characters other than / ? # % : & = + and quotes"

AppId = Annotated[str, text(r"[A-Za-z0-9_.:@=-]{1,128}", _ID, numbers=True)]
AppKey = Annotated[str, text(r"[A-Za-z0-9_.@!$*(),;~^|<>-]{1,128}", _KEY, numbers=True)]
AppSecret = Annotated[str, text(r"[^\x00]{1,1024}", "1 to 1024 characters", numbers=True)]
Origin = Annotated[
    str,
    text(
        r"(?i)\*|[a-z][a-z0-9+.-]*:///?|(?:[a-z][a-z0-9+.-]*://)?[^\s/?#,]+/?",
        "an origin such as https://a.example",
    ),
]


class AppConfig(Section):
    """One application. Rates are per second; 0 is no limit.

    :param id: what the HTTP API's paths name it by. :param key: what clients name it by; public.
    :param secret: signs requests, tokens of channels and users, and webhooks.
    :param previous_secret: during a rotation, signatures by it are accepted too; webhooks are signed with `secret`.
    :param enabled: off, its clients are sent away with 4003 and its requests refused with 403.
    :param tls_only: clients that connect without TLS are sent away with 4000.
    :param max_connections: in the whole cluster; over it a client is sent away with 4004.
    :param max_channels_per_connection: :param max_presence_members_per_channel: :param max_presence_member_size_in_kb:
    :param max_channel_name_length: :param max_event_channels_at_once: :param max_event_name_length:
    :param max_event_payload_in_kb: :param max_event_batch_size: null is the server-wide one.
    :param enable_client_messages: clients may trigger `client-` events in private and presence channels.
    :param max_client_events_per_second: of one connection. :param max_backend_events_per_second: of all publishes.
    :param max_read_requests_per_second: of all questions to the HTTP API.
    :param enable_user_authentication: connections that do not sign in, or join a channel that needs a token, within
        `user_authentication_timeout` are ended with 4009.
    :param enable_watchlist_events: users are told when those of their watchlist come and go.
    :param enable_subscription_count: subscribers are told how many they are.
    :param allowed_origins: pages whose clients are let in; an empty list lets in all.
    :param history: which channels keep their events. :param presence_history: which presence
        channels keep who came and went. :param webhooks: who is told what happens.
    """

    id: AppId
    key: AppKey
    secret: AppSecret = Field(repr=False)
    previous_secret: AppSecret | None = Field(default=None, repr=False)
    enabled: Flag = True
    tls_only: Flag = False
    max_connections: Limit = 0
    max_channels_per_connection: Limit | None = None
    enable_client_messages: Flag = False
    max_client_events_per_second: Limit = 0
    max_backend_events_per_second: Limit = 0
    max_read_requests_per_second: Limit = 0
    max_presence_members_per_channel: Limit | None = None
    max_presence_member_size_in_kb: Kilobytes | None = None
    max_channel_name_length: NameLength | None = None
    max_event_channels_at_once: Annotated[int, whole(1, 100_000)] | None = None
    max_event_name_length: NameLength | None = None
    max_event_payload_in_kb: Kilobytes | None = None
    max_event_batch_size: Annotated[int, whole(1, 10_000)] | None = None
    enable_user_authentication: Flag = False
    enable_watchlist_events: Flag = False
    enable_subscription_count: Flag = False
    allowed_origins: Annotated[tuple[Origin, ...], listed(split=True)] = ()
    message_rate_limit: MessageRateLimit = Field(default_factory=MessageRateLimit)
    history: Annotated[tuple[HistoryRuleConfig, ...], listed()] = ()
    presence_history: Annotated[tuple[PresenceRuleConfig, ...], listed()] = ()
    webhooks: Annotated[tuple[WebhookConfig, ...], listed()] = ()


#: Where applications are kept.
AppDriver = Annotated[
    Literal["memory", "mysql", "postgres", "sqlite", "dynamodb"],
    word(
        "memory",
        "array",
        "mysql",
        "postgres",
        "postgresql",
        "pgsql",
        "sqlite",
        "dynamodb",
        elsewhere=("scylladb", "surrealdb"),
        synonyms={"array": "memory", "postgresql": "postgres", "pgsql": "postgres"},
    ),
]


class AppArray(Section):
    apps: Annotated[tuple[AppConfig, ...], listed()] = ()


class AppCache(Section):
    """How far a worker's copy of the database's applications may be trusted while the database cannot be read.

    :param enabled: off, no newcomer is let in as soon as a read has failed.
    :param ttl: seconds since the last read after which no newcomer is let in; 0 is without limit. Connected clients
        stay connected.
    """

    enabled: Flag = True
    ttl: Limit = 0

    @property
    def serves_s(self) -> float | None:
        """Seconds; None without limit."""
        return 0.0 if not self.enabled else float(self.ttl) or None


class AppManagerConfig(Section):
    """From this file (`memory` and `array` are two names of that), or from a table of the database in `database`.

    :param driver: which of them.
    :param refresh_ms: between two reads of that table, by each worker.
    """

    driver: AppDriver = "memory"
    array: AppArray = Field(default_factory=AppArray)
    refresh_ms: Annotated[int, whole(50, 3_600_000)] = 500
    cache: AppCache = Field(default_factory=AppCache)

    @property
    def from_file(self) -> bool:
        """Whether the applications are those of this configuration; otherwise `driver` names a database."""
        return self.driver == "memory"


def soketi_option(key: str) -> str:
    """The option of an application that soketi means by `key`, in our form, humps or not."""
    name = snake_case(key)
    return _SOKETI_NAMES.get(name, name)
