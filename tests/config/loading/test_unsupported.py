"""Files written for other servers, and the documented examples: what loads, and what is warned of."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config.loading.load import SIGNATURE_UNSAID
from tests.config.support import HOOK, apps, loaded

FOREIGN_FILE: dict[str, Any] = {
    "debug": False,
    "mode": "production",
    "adapter": {
        "driver": "redis",
        "buffer_multiplier_per_cpu": 64,
        "redis": {"requests_timeout": 5000, "prefix": "p:", "cluster_mode": False, "redis_pub_options": {}},
        "cluster": {"nodes": [], "prefix": "c:"},
        "nats": {"servers": ["nats://nats:4222"]},
    },
    "app_manager": {
        "driver": "memory",
        "cache": {"enabled": True, "ttl": 300},
        "array": {
            "apps": [
                {
                    "id": "demo-app",
                    "key": "demo-key",
                    "secret": "own-secret",
                    "max_connections": "1000",
                    "enable_client_messages": True,
                    "max_client_events_per_second": "200",
                    "webhooks": [
                        {
                            "lambda": {"function_name": "presence", "region": "us-east-1", "client_options": {}},
                            "event_types": ["member_added"],
                            "retry": {"max_attempts": 3, "max_elapsed_time_ms": 1000},
                        }
                    ],
                }
            ]
        },
    },
    "database": {
        "mysql": {"host": "mysql", "password": "pw", "connection_pool_size": 10, "cache_ttl": 300},
        "redis": {"host": "redis", "sentinels": [], "name": "mymaster", "cluster_nodes": []},
    },
    "websocket": {"max_messages": 1000, "compression": "disabled"},
    "ssl": {"enabled": False, "redirect_http": False, "http_port": 80},
}


def test_a_file_of_another_server_loads_with_a_warning_for_each_reason() -> None:
    found = loaded(FOREIGN_FILE, {"INSTANCE_PROCESS_ID": "n1"}, workers=2)
    *passed_over, signature = found.warnings
    assert signature == SIGNATURE_UNSAID
    told = [option for line in passed_over for option in line.rpartition(": ")[2].split(", ")]
    assert told == [
        "mode",
        "adapter.buffer_multiplier_per_cpu",
        "adapter.redis.requests_timeout",
        "instance.process_id (environment variable INSTANCE_PROCESS_ID)",
        "adapter.cluster",
        "adapter.nats",
        "app_manager.array.apps[0].webhooks[0].lambda.client_options",
        "database.mysql.connection_pool_size",
        "database.mysql.cache_ttl",
        "websocket.max_messages",
        "websocket.compression",
        "ssl.redirect_http",
        "ssl.http_port",
    ]
    assert found.config.app_manager.array.apps[0].max_connections == 1000


def test_the_documented_examples_load_without_a_word() -> None:
    """As an application's webhooks are documented: both kinds of target, every filter, headers, batching, queue."""
    found = loaded(
        {
            "webhooks": {"batching": {"enabled": True, "duration": 50}},
            "queue": {"driver": "redis", "redis": {"concurrency": 5, "prefix": "sockudo_queue:"}},
            "app_manager": {
                "driver": "memory",
                "array": {
                    "apps": [
                        {
                            "id": "my-app",
                            "key": "my-key",
                            "secret": "my-secret",
                            "webhooks": [
                                {
                                    "url": "https://api.example/webhooks",
                                    "event_types": ["channel_occupied", "channel_vacated"],
                                    "headers": {"Authorization": "Bearer your-api-token", "X-Source": "sockudo"},
                                },
                                {
                                    "lambda": {
                                        "function_name": "sockudoEventHandler",
                                        "region": "us-east-1",
                                        "invocation_type": "Event",
                                        "qualifier": "PROD",
                                    },
                                    "event_types": ["member_added", "member_removed"],
                                    "filter": {"channel_prefix": "presence-"},
                                },
                                {
                                    "url": "https://api.example/webhooks/admin",
                                    "event_types": ["client_event", "connection_established", "connection_terminated"],
                                    "filter": {"channel_type": "presence", "channel_prefix": "admin-"},
                                },
                            ],
                        }
                    ]
                },
            },
        },
        workers=2,
    )
    assert found.warnings == ()
    assert len(found.config.app_manager.array.apps[0].webhooks) == 3


def test_soketi_spellings_of_an_app() -> None:
    (app,) = loaded(
        apps(
            {
                "enableClientMessages": True,
                "maxPresenceMembersPerChannel": 5,
                "maxEventPayloadInKb": "20",
                "EnableUserAuthentication": True,
                "webhooks": [HOOK | {"filter": {"channel_name_starts_with": "a", "channel_name_ends_with": "b"}}],
            }
        )
    ).config.app_manager.array.apps
    assert app.enable_client_messages and app.enable_user_authentication
    assert (app.max_presence_members_per_channel, app.max_event_payload_in_kb) == (5, 20)
    found = app.webhooks[0].filter
    assert found is not None and (found.channel_prefix, found.channel_suffix) == ("a", "b")


def test_a_nested_policy_is_flattened() -> None:
    found = loaded(
        apps(
            {
                "policy": {
                    "limits": {"max_connections": 9},
                    "features": {"enable_client_messages": True},
                    "channels": {"allowed_origins": ["*"], "channel_namespaces": []},
                    "webhooks": [HOOK],
                }
            }
        )
    )
    (app,) = found.config.app_manager.array.apps
    assert (app.max_connections, app.enable_client_messages, app.allowed_origins) == (9, True, ("*",))
    assert len(app.webhooks) == 1
    assert found.warnings[0].endswith(": app_manager.array.apps[0].policy.channels.channel_namespaces")


@pytest.mark.parametrize("name", ["history", "presence_history"])
def test_an_application_has_history_of_ours_or_of_sockudos(name: str) -> None:
    ours = loaded(apps({name: [{"channels": "presence-a"}]}))
    assert [rule.channels for rule in getattr(ours.config.app_manager.array.apps[0], name)] == ["presence-a"]
    assert ours.warnings == ()
    theirs = loaded(apps({name: {"enabled": True}}))
    assert getattr(theirs.config.app_manager.array.apps[0], name) == ()
    (told,) = [warning for warning in theirs.warnings if f"app_manager.array.apps[0].{name}" in warning]
    assert "docs/history.md" in told
    assert "docs/history.md" in loaded({name: {"enabled": True}}).warnings[0]
