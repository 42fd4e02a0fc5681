"""From an application's entry in the configuration to the `App` that the engine works with.

Every limit is resolved here, so nobody else compares an application's value with the server-wide one.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from hashlib import sha1

from engine._fast.signature import Signer
from engine.app import (
    App,
    Endpoint,
    Filter,
    HistoryRule,
    HttpTarget,
    LambdaTarget,
    Pattern,
    PresenceRule,
    Replay,
    Retention,
    RetryPolicy,
    Target,
)
from engine.config.apps import AppConfig
from engine.config.history import HistoryRuleConfig, PresenceRuleConfig, ReplayConfig
from engine.config.patterns import compile_pattern
from engine.config.root import Config
from engine.config.webhook_endpoint import FilterConfig, LambdaConfig, RetryOverrides, WebhookConfig
from engine.config.webhooks import Retry, WebhooksConfig

#: The region that a function's ARN names wins over the configured one: it is the only one where the function is.
_FUNCTION_ARN = re.compile(r"arn:[^:]+:lambda:([a-z0-9-]+):")

#: Retries where only the time bounds them.
MOST_ATTEMPTS = 100


def build_apps(config: Config) -> tuple[App, ...]:
    """All applications of the configuration, in its order."""
    return tuple(build_app(entry, config) for entry in config.app_manager.array.apps)


def build_app(entry: AppConfig, config: Config) -> App:
    """One application, with the server-wide limits where it has none of its own."""
    events, presence = config.event_limits, config.presence
    return App(
        id=entry.id,
        key=entry.key,
        secret=entry.secret,
        signer=Signer(entry.secret),
        previous_secret=entry.previous_secret,
        previous_signer=None if entry.previous_secret is None else Signer(entry.previous_secret),
        enabled=entry.enabled,
        tls_only=entry.tls_only,
        max_connections=entry.max_connections,
        max_channels=_own(entry.max_channels_per_connection, config.channel_limits.max_per_connection),
        client_messages=entry.enable_client_messages,
        max_client_events_per_second=entry.max_client_events_per_second,
        max_backend_events_per_second=entry.max_backend_events_per_second,
        max_read_requests_per_second=entry.max_read_requests_per_second,
        max_presence_members=_own(entry.max_presence_members_per_channel, presence.max_members_per_channel),
        max_presence_member_bytes=_bytes(entry.max_presence_member_size_in_kb, presence.max_member_size_in_kb),
        max_channel_name_length=_own(entry.max_channel_name_length, config.channel_limits.max_name_length),
        max_event_channels=_own(entry.max_event_channels_at_once, events.max_channels_at_once),
        max_event_name_length=_own(entry.max_event_name_length, events.max_name_length),
        max_event_bytes=_bytes(entry.max_event_payload_in_kb, events.max_payload_in_kb),
        max_event_batch_size=_own(entry.max_event_batch_size, events.max_batch_size),
        user_authentication=entry.enable_user_authentication,
        user_authentication_timeout_s=config.user_authentication_timeout,
        watchlist_events=entry.enable_watchlist_events,
        subscription_count=entry.enable_subscription_count,
        cache_ttl_s=config.channel_limits.cache_ttl,
        allowed_origins=entry.allowed_origins,
        max_messages=entry.message_rate_limit.max_attempts if entry.message_rate_limit.enabled else 0,
        message_window_s=entry.message_rate_limit.decay_seconds,
        close_on_message_limit=entry.message_rate_limit.terminate_on_limit,
        endpoints=_endpoints(entry.webhooks, config.webhooks),
        history=tuple(map(_history_rule, entry.history)),
        presence_history=tuple(map(_presence_rule, entry.presence_history)),
    )


def _history_rule(config: HistoryRuleConfig) -> HistoryRule:
    return HistoryRule(
        _whole_name(config.channels),
        Retention(config.count, config.seconds * 1000, config.bytes),
        client_events=config.client_events,
        replay=None if config.replay is None else _replay(config.replay),
    )


def _presence_rule(config: PresenceRuleConfig) -> PresenceRule:
    return PresenceRule(_whole_name(config.channels), Retention(config.count, config.seconds * 1000, config.bytes))


def _whole_name(pattern: str) -> Pattern:
    """:param pattern: with * for any characters."""
    compiled: Pattern = compile_pattern(f"^{'.*'.join(map(re.escape, pattern.split('*')))}$")
    return compiled


def _replay(config: ReplayConfig) -> Replay:
    return Replay(config.count or 0, (config.seconds or 0) * 1000)


def _endpoints(webhooks: tuple[WebhookConfig, ...], defaults: WebhooksConfig) -> tuple[Endpoint, ...]:
    seen: Counter[str] = Counter()
    endpoints = []
    for webhook in webhooks:
        target = _target(webhook)
        # Two webhooks with one target stay two endpoints; the first keeps its id when the second is removed.
        stem = sha1(target.key.encode(), usedforsecurity=False).hexdigest()[:12]
        seen[stem] += 1
        endpoints.append(
            Endpoint(
                id=stem if seen[stem] == 1 else f"{stem}-{seen[stem]}",
                target=target,
                event_types=frozenset(webhook.event_types),
                filter=_filter(webhook.filter),
                headers=dict(webhook.headers),
                signature_format=webhook.signature_format or defaults.signature_format,
                timeout_s=_own(webhook.request_timeout_ms, defaults.request_timeout_ms) / 1000,
                retry=_retry(webhook.retry or RetryOverrides(), defaults.retry),
            )
        )
    return tuple(endpoints)


def _target(webhook: WebhookConfig) -> Target:
    if webhook.url is not None:
        return HttpTarget(webhook.url)
    return _function(webhook.function, webhook.lambda_function)


def _function(config: LambdaConfig | None, short: str | None) -> LambdaTarget:
    config = config or LambdaConfig()
    name = config.function_name or short or ""
    arn = _FUNCTION_ARN.match(name)
    invocation = config.invocation_type or ("RequestResponse" if config.asynchronous is False else "Event")
    return LambdaTarget(
        function_name=name,
        region=config.region if arn is None else arn[1],
        invocation_type=invocation,
        qualifier=config.qualifier,
        endpoint_url=config.endpoint_url,
    )


def _filter(config: FilterConfig | None) -> Filter:
    if config is None:
        return Filter()
    return Filter(
        channel_type=config.channel_type,
        channel_prefix=config.channel_prefix,
        channel_suffix=config.channel_suffix,
        channel_pattern=None if config.channel_pattern is None else compile_pattern(config.channel_pattern),
        channel_namespaces=_namespaces(config),
        event_prefix=config.event_prefix,
    )


def _namespaces(config: FilterConfig) -> frozenset[str] | None:
    """Those that both ways of naming them allow; None where neither is used."""
    one, several = config.channel_namespace, config.channel_namespaces
    if one is None:
        return None if several is None else frozenset(several)
    return frozenset({one}) if several is None or one in several else frozenset()


def _retry(own: RetryOverrides, defaults: Retry) -> RetryPolicy:
    if not (defaults.enabled if own.enabled is None else own.enabled):
        return RetryPolicy(delays_s=())
    initial = _own(own.initial_backoff_ms, defaults.initial_backoff_ms)
    longest = _own(own.max_backoff_ms, defaults.max_backoff_ms)
    elapsed_ms = _own(own.max_elapsed_time_ms, defaults.max_elapsed_time_ms)
    attempts = defaults.max_attempts if own.max_attempts is None else own.max_attempts
    if attempts is None:
        attempts = MOST_ATTEMPTS if elapsed_ms else Retry().max_attempts or 0
    delays_s: list[float] = []
    while len(delays_s) < attempts and (not elapsed_ms or sum(delays_s) * 1000 <= elapsed_ms):
        delays_s.append(min(initial * 2 ** len(delays_s), longest) / 1000)
    return RetryPolicy(tuple(delays_s), max_elapsed_s=elapsed_ms / 1000 if elapsed_ms else math.inf)


def _own(value: int | None, default: int) -> int:
    return default if value is None else value


def _bytes(own_kb: float | None, default_kb: float) -> int:
    return int((default_kb if own_kb is None else own_kb) * 1024)
