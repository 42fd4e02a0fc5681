"""From a configured application to the one that the engine uses."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

import pytest

from engine.app import App, Endpoint, Filter, LambdaTarget
from engine.apps.build import build_apps
from tests.config.support import HOOK, apps, hooks, loaded

ARN = "arn:aws:lambda:eu-west-3:123456789012:function:f"


def app(document: dict[str, Any]) -> App:
    (built,) = build_apps(loaded(document).config)
    return built


def endpoint(document: dict[str, Any]) -> Endpoint:
    (built,) = app(document).endpoints
    return built


def test_limits_come_from_the_server_unless_the_app_has_its_own() -> None:
    server = {
        "channel_limits": {"max_name_length": 11, "cache_ttl": 12},
        "event_limits": {
            "max_channels_at_once": 13,
            "max_name_length": 14,
            "max_payload_in_kb": 1.5,
            "max_batch_size": 16,
        },
        "presence": {"max_members_per_channel": 17, "max_member_size_in_kb": 18},
        "user_authentication_timeout": 19,
    }
    shared = app(apps({}) | server)
    assert (shared.max_channel_name_length, shared.cache_ttl_s) == (11, 12)
    assert (shared.max_event_channels, shared.max_event_name_length) == (13, 14)
    assert (shared.max_event_bytes, shared.max_event_batch_size) == (1536, 16)
    assert (shared.max_presence_members, shared.max_presence_member_bytes) == (17, 18 * 1024)
    assert shared.user_authentication_timeout_s == 19

    own = app(
        apps(
            {
                "max_channel_name_length": 1,
                "max_event_channels_at_once": 2,
                "max_event_name_length": 3,
                "max_event_payload_in_kb": 4,
                "max_event_batch_size": 5,
                "max_presence_members_per_channel": 0,
                "max_presence_member_size_in_kb": 0.5,
            }
        )
        | server
    )
    assert (own.max_channel_name_length, own.max_event_channels, own.max_event_name_length) == (1, 2, 3)
    assert (own.max_event_bytes, own.max_event_batch_size) == (4096, 5)
    assert (own.max_presence_members, own.max_presence_member_bytes) == (0, 512)


def test_what_an_app_says_of_itself() -> None:
    built = app(
        apps(
            {
                "id": 7,
                "enabled": False,
                "max_connections": 1,
                "enable_client_messages": True,
                "max_client_events_per_second": 2,
                "max_backend_events_per_second": 3,
                "max_read_requests_per_second": 4,
                "enable_user_authentication": True,
                "enable_watchlist_events": True,
                "enable_subscription_count": True,
                "allowed_origins": ["https://a.example", "*.b.example"],
            }
        )
    )
    assert (built.id, built.key, built.secret, built.enabled) == ("7", "k", "s3cret", False)
    assert (built.max_connections, built.max_client_events_per_second) == (1, 2)
    assert (built.max_backend_events_per_second, built.max_read_requests_per_second) == (3, 4)
    assert built.client_messages and built.user_authentication and built.watchlist_events and built.subscription_count
    assert built.allowed_origins == ("https://a.example", "*.b.example")
    assert built.signer.hex(b"x") != app(apps({"secret": "other"})).signer.hex(b"x")
    assert "s3cret" not in repr(built)


def test_a_webhook_takes_what_it_does_not_say_from_the_server() -> None:
    server = {
        "webhooks": {
            "signature_format": "hex",
            "request_timeout_ms": 2500,
            "retry": {"max_attempts": 3, "initial_backoff_ms": 500, "max_backoff_ms": 1500},
        }
    }
    plain = endpoint(hooks(HOOK) | server)
    assert (plain.signature_format, plain.timeout_s) == ("hex", 2.5)
    assert plain.retry.delays_s == (0.5, 1.0, 1.5)
    own = endpoint(
        hooks(HOOK | {"signature_format": "prefixed", "request_timeout_ms": 1000, "retry": {"max_attempts": 1}})
        | server
    )
    assert (own.signature_format, own.timeout_s, own.retry.delays_s) == ("prefixed", 1.0, (0.5,))
    assert endpoint(hooks(HOOK | {"retry": {"enabled": False}}) | server).retry.delays_s == ()


def test_retries_are_those_the_documentation_names() -> None:
    assert endpoint(hooks(HOOK)).retry.delays_s == (1.0, 2.0, 4.0, 8.0, 16.0)
    many = endpoint(hooks(HOOK | {"retry": {"max_attempts": 100}})).retry.delays_s
    assert len(many) == 100 and max(many) == 60.0


def test_a_time_bounds_retries_whatever_their_number() -> None:
    """As Sockudo's own defaults have it: no number, 300 s."""
    policy = endpoint(hooks(HOOK) | {"webhooks": {"retry": {"max_attempts": None, "max_elapsed_time_ms": 300_000}}})
    assert policy.retry.max_elapsed_s == 300
    assert sum(policy.retry.delays_s[:-1]) <= 300 < sum(policy.retry.delays_s)
    own = endpoint(hooks(HOOK | {"retry": {"max_elapsed_time_ms": 2_000}}))
    assert (own.retry.delays_s, own.retry.max_elapsed_s) == ((1.0, 2.0), 2.0)
    assert endpoint(hooks(HOOK) | {"webhooks": {"retry": {"max_attempts": None}}}).retry.delays_s[-1] == 16.0


def test_namespaces_of_a_filter() -> None:
    def namespaces(**given: Any) -> Any:
        return endpoint(hooks(HOOK | {"filter": given})).filter.channel_namespaces

    assert namespaces(channel_namespace="a") == {"a"}
    assert namespaces(channel_namespaces=["a", "b"]) == {"a", "b"}
    assert namespaces(channel_namespace="a", channel_namespaces=["a", "b"]) == {"a"}
    assert namespaces(channel_namespace="a", channel_namespaces=["b"]) == set()
    assert namespaces(channel_prefix="a") is None


def test_filter_headers_and_events() -> None:
    built = endpoint(
        hooks(
            {
                "url": "http://127.0.0.1:9/hook",
                "event_types": ["client_event", "cache_miss", "client_event"],
                "headers": {"Authorization": "Bearer t"},
                "filter": {
                    "channel_type": "presence",
                    "channel_prefix": "admin-",
                    "channel_suffix": "-x",
                    "channel_pattern": "^a+",
                    "event_prefix": "client-t",
                },
            }
        )
    )
    assert built.event_types == {"client_event", "cache_miss"}
    assert built.headers == {"Authorization": "Bearer t"}
    assert built.filter.channel_pattern is not None and built.filter.channel_pattern.search("aab")
    assert (built.filter.channel_type, built.filter.channel_prefix) == ("presence", "admin-")
    assert (built.filter.channel_suffix, built.filter.event_prefix) == ("-x", "client-t")
    assert endpoint(hooks(HOOK)).filter == Filter()


@pytest.mark.parametrize(
    ("webhook", "target"),
    [
        (
            {"lambda": {"function_name": "f", "region": "eu-west-1", "invocation_type": "RequestResponse"}},
            LambdaTarget("f", "eu-west-1", "RequestResponse"),
        ),
        ({"lambda": {"function_name": "f", "qualifier": "PROD"}}, LambdaTarget("f", qualifier="PROD")),
        ({"lambda_function": "f"}, LambdaTarget("f", "us-east-1", "Event")),
        ({"lambda_function": "f", "lambda": {"region": "eu-west-1"}}, LambdaTarget("f", "eu-west-1", "Event")),
        (
            {"lambda_function": "f", "lambda": {"async": False, "endpoint_url": "http://127.0.0.1:1"}},
            LambdaTarget("f", "us-east-1", "RequestResponse", endpoint_url="http://127.0.0.1:1"),
        ),
        ({"lambda_function": "f", "lambda": {"async": True}}, LambdaTarget("f", "us-east-1", "Event")),
        # An ARN says where the function is.
        ({"lambda": {"function_name": ARN}}, LambdaTarget(ARN, "eu-west-3", "Event")),
        ({"lambda": {"function_name": ARN, "region": "us-east-1"}}, LambdaTarget(ARN, "eu-west-3", "Event")),
    ],
)
def test_lambda_targets(webhook: dict[str, Any], target: LambdaTarget) -> None:
    built = endpoint(hooks(webhook | {"event_types": ["cache_miss"]}))
    assert built.target == target


def test_endpoint_ids_follow_the_target_alone() -> None:
    url = {"url": "https://a.example/1", "event_types": ["cache_miss"]}
    function = {"lambda": {"function_name": "f", "qualifier": "Q"}, "event_types": ["cache_miss"]}
    ids = [found.id for found in app(hooks(url, function, url, HOOK, url)).endpoints]
    first, second = sha1(b"https://a.example/1").hexdigest()[:12], sha1(b"us-east-1:f:Q").hexdigest()[:12]
    assert ids == [first, second, f"{first}-2", sha1(HOOK["url"].encode()).hexdigest()[:12], f"{first}-3"]
    changed = url | {"headers": {"A": "b"}, "event_types": ["client_event"], "signature_format": "hex"}
    assert endpoint(hooks(changed)).id == first
    # Who we are there is a secret, and queues and metrics show ids.
    assert endpoint(hooks(url | {"url": "https://user:password@a.example/1"})).id == first


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("room", "room", True),
        ("room", "room-1", False),
        ("room", "a-room", False),
        ("room-*", "room-1", True),
        ("room-*", "room-", True),
        ("*-kept-*", "private-kept-a.b", True),
        ("a.b", "axb", False),
        ("*", "#server-to-user-1", False),
        ("*a" * 100, "a" * 199 + "b", False),
    ],
)
def test_a_rule_of_history_fits_whole_names_however_many_stars_it_has(pattern: str, name: str, fits: bool) -> None:
    built = app(apps({"history": [{"channels": pattern, "count": 7, "replay": {"seconds": 5}}]}))
    rule = built.history_rule(name)
    assert (rule is not None) == fits
    if rule is not None:
        assert (rule.retention.count, rule.retention.window_ms) == (7, 300_000)
        assert rule.replay is not None
        assert (rule.replay.count, rule.replay.window_ms) == (0, 5000)


def test_a_rule_of_presence_history_fits_presence_channels_alone() -> None:
    built = app(apps({"presence_history": [{"channels": "*-a", "count": 7}, {"channels": "*", "seconds": 9}]}))
    few, short = built.presence_retention("presence-a"), built.presence_retention("presence-cache-b")
    assert few is not None and short is not None
    assert (few.count, few.window_ms) == (7, 24 * 3600 * 1000)
    assert (short.count, short.window_ms) == (1000, 9000)
    assert built.presence_retention("private-a") is None
    assert built.presence_retention("#server-to-user-presence-a") is None
