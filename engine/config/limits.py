"""Sections that limit what clients and back ends may send: names, payloads, members, requests.

Values only. An application may narrow or widen most of them for itself (`apps.py`); `apps/build.py` resolves the two.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config.base import Flag, Limit, Prefix, Section, number, whole, word

NameLength = Annotated[int, whole(1, 10_000)]
Kilobytes = Annotated[float, number(0, 1024 * 1024)]


class ChannelLimits(Section):
    """:param max_name_length: characters, prefix included (N-4).
    :param max_per_connection: channels that one connection may be in.
    :param max_joins_per_second: of one connection, after as many at once as it may be in; more wait for the next
        second.
    :param cache_ttl: seconds that a cache channel remembers its last event (N-29)."""

    max_name_length: NameLength = 200
    max_per_connection: Limit = 1000
    max_joins_per_second: Limit = 100
    cache_ttl: Annotated[int, whole(1, 31_536_000)] = 3600


class EventLimits(Section):
    """:param max_channels_at_once: channels of one publish (H-40). :param max_name_length: characters (H-41).
    :param max_payload_in_kb: the event's `data` as JSON text, 1 kB = 1024 bytes (H-43, H-54).
    :param max_batch_size: events of one batch (H-44)."""

    max_channels_at_once: Annotated[int, whole(1, 100_000)] = 100
    max_name_length: NameLength = 200
    max_payload_in_kb: Kilobytes = 100.0
    max_batch_size: Annotated[int, whole(1, 10_000)] = 10


class PresenceLimits(Section):
    """:param max_member_size_in_kb: one member's channel data as JSON text."""

    max_members_per_channel: Limit = 100
    max_member_size_in_kb: Kilobytes = 2.0


class RateLimit(Section):
    """At most `max_requests` of one address in `window_seconds`; 0 is no limit, which is the default (D-10).

    :param trust_hops: reverse proxies in front whose X-Forwarded-For entries are believed, for who does not know their
        addresses; instead of `trusted_proxies`.
    """

    enabled: Flag = True
    max_requests: Limit = 0
    window_seconds: Annotated[int, whole(1, 86_400)] = 60
    trust_hops: Annotated[int, whole(0, 100)] = 0


class MessageRateLimit(Section):
    """At most `max_attempts` messages of one connection, of whatever kind, in `decay_seconds`; more are dropped.

    :param terminate_on_limit: close the connection instead, with 4100.
    """

    enabled: Flag = False
    max_attempts: Annotated[int, whole(1, 1_000_000)] = 100
    decay_seconds: Annotated[int, whole(1, 86_400)] = 1
    terminate_on_limit: Flag = False


class RateLimiterRedis(Section):
    prefix: Prefix = "sockudo_rl:"


class RateLimiterConfig(Section):
    """Limits per address. The limits of an application are its own and do not depend on `enabled`.

    :param driver: where they are counted; null is redis where the workers share one, else memory.
    """

    enabled: Flag = True
    driver: (
        Annotated[
            Literal["memory", "redis"],
            word("memory", "local", "redis", elsewhere=("none",), synonyms={"local": "memory"}),
        ]
        | None
    ) = None
    api_rate_limit: RateLimit = Field(default_factory=RateLimit)
    websocket_rate_limit: RateLimit = Field(default_factory=RateLimit)
    redis: RateLimiterRedis = Field(default_factory=RateLimiterRedis)
