"""Rows of all the tables that are known, as entries of the configuration."""

from __future__ import annotations

import re
import uuid
from decimal import Decimal
from typing import Any

import pytest

from engine.apps.sources.rows import UNREADABLE, UNREADABLE_POLICY, to_entry
from engine.config.loading.entry import check_entry
from engine.config.root import Config
from engine.errors import ConfigError

ID = {"id": "1", "key": "k", "secret": "s"}
HOOKS = [{"url": "https://a.example/hook", "event_types": ["channel_occupied"]}]
TEXT = '[{"url": "https://a.example/hook", "event_types": ["channel_occupied"]}]'

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "what is no option is left out": (ID | {"created_at": "2025-01-01", "idempotency": "{}", "name": "shop"}, ID),
    "NULL is as good as no column": (ID | {"max_connections": None, "webhooks": None, "policy": None}, ID),
    "soketi's columns": (
        ID | {"max_backend_events_per_sec": 5, "max_client_events_per_sec": -1, "max_read_req_per_sec": 7},
        ID
        | {
            "max_backend_events_per_second": 5,
            "max_client_events_per_second": -1,
            "max_read_requests_per_second": 7,
        },
    ),
    "soketi's items": (
        {"AppId": "1", "AppKey": "k", "AppSecret": "s", "EnableClientMessages": b"true", "MaxConnections": -1},
        ID | {"enable_client_messages": "true", "max_connections": -1},
    ),
    "no client events in soketi's spelling": (
        ID | {"max_client_events_per_sec": 0, "enable_client_messages": 1},
        ID | {"max_client_events_per_second": 0, "enable_client_messages": False},
    ),
    "no limit of client events in ours": (
        ID | {"max_client_events_per_second": 0, "enable_client_messages": 1},
        ID | {"max_client_events_per_second": 0, "enable_client_messages": 1},
    ),
    "our name wins over another spelling": (ID | {"AppId": "2", "app_key": "other"}, ID),
    "-1 where the server-wide limit counts": (
        ID | {"max_event_payload_in_kb": -1, "MaxEventBatchSize": "-1", "max_event_name_length": 50},
        ID | {"max_event_name_length": 50},
    ),
    "JSON as text": (ID | {"webhooks": TEXT}, ID | {"webhooks": HOOKS}),
    "JSON as JSON": (ID | {"webhooks": HOOKS}, ID | {"webhooks": HOOKS}),
    "JSON in bytes": (ID | {"webhooks": TEXT.encode()}, ID | {"webhooks": HOOKS}),
    "JSON twice": (
        ID | {"allowed_origins": '"[\\"https://a.example\\"]"'},
        ID | {"allowed_origins": ["https://a.example"]},
    ),
    "JSON's null": (ID | {"webhooks": "null", "policy": "null"}, ID),
    "empty text": (ID | {"webhooks": "", "allowed_origins": ""}, ID),
    "origins between commas": (
        ID | {"allowed_origins": "a.example, b.example"},
        ID | {"allowed_origins": "a.example, b.example"},
    ),
    "JSON that is none shows nothing": (
        ID | {"webhooks": '[{"headers": {"authorization": "Bearer x"}'},
        ID | {"webhooks": "(text that is not JSON)"},
    ),
    "our own additions": (
        ID
        | {"previous_secret": "old", "tls_only": 1, "enable_subscription_count": 0, "max_channels_per_connection": 9}
        | {"message_rate_limit": '{"enabled": true, "max_attempts": 5}'}
        | {"presence_history": '[{"channels": "presence-*"}]'},
        ID
        | {"previous_secret": "old", "tls_only": 1, "enable_subscription_count": 0, "max_channels_per_connection": 9}
        | {"message_rate_limit": {"enabled": True, "max_attempts": 5}}
        | {"presence_history": [{"channels": "presence-*"}]},
    ),
    "sockudo's policy": (
        ID
        | {"enabled": True, "max_connections": 100, "enable_client_messages": True, "max_event_name_length": 5}
        | {"tls_only": True, "webhooks": "[]"}
        | {
            "policy": {
                "limits": {"max_connections": 7, "decay_seconds": None, "max_event_name_length": None},
                "features": {"enable_user_authentication": True},
                "channels": {"allowed_origins": ["a.example"], "channel_namespaces": None},
                "webhooks": HOOKS,
                "history": None,
            }
        },
        ID
        | {"enabled": True, "tls_only": True, "max_connections": 7, "enable_user_authentication": True}
        | {"allowed_origins": ["a.example"], "webhooks": HOOKS},
    ),
    "a policy that is none is nothing that can be used": (
        ID | {"policy": "[1]"},
        ID | {"webhooks": "(policy is no JSON object)"},
    ),
    "numbers and ids of other types": (
        {"id": uuid.UUID(int=5), "key": "k", "secret": "s", "max_connections": Decimal(10), "enabled": b"\x01"}
        | {"max_event_payload_in_kb": Decimal("0.5")},
        {"id": "00000000-0000-0000-0000-000000000005", "key": "k", "secret": "s", "max_connections": 10, "enabled": 1}
        | {"max_event_payload_in_kb": 0.5},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_row(name: str) -> None:
    row, entry = CASES[name]
    assert to_entry(row) == entry


@pytest.mark.parametrize(
    ("column", "told"), [({"webhooks": "[{"}, UNREADABLE), ({"policy": '{"limits": '}, UNREADABLE_POLICY)]
)
def test_a_row_that_cannot_be_read_is_refused(column: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)):
        check_entry(to_entry(ID | column), Config())
    check_entry(to_entry(ID), Config())
