"""Applications in a DynamoDB table, as moto's server keeps it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest

from engine.apps.sources import dynamodb as dynamodb_module
from engine.apps.sources.build import build_source
from engine.errors import SourceUnavailable
from engine.interfaces import AppSource
from tests.config.support import HOOK, loaded
from tests.support.aws import CREDENTIALS, REGION, MotoAws, dynamodb_table, use_credentials
from tests.support.waiting import free_port

SECRET_KEY = CREDENTIALS["AWS_SECRET_ACCESS_KEY"]
HOOK_TEXT = '[{"url": "https://a.example/hook", "event_types": ["channel_occupied"]}]'
ONE = {"id": {"S": "1"}, "key": {"S": "k"}, "secret": {"S": "s"}}
_numbers = count(1)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the environment, as most people give them."""
    use_credentials(monkeypatch.setenv)


@asynccontextmanager
async def source_of(url: str, table: str, **changes: Any) -> AsyncIterator[AppSource]:
    section = {"region": REGION, "table_name": table, "endpoint_url": url} | changes
    document = {"app_manager": {"driver": "dynamodb"}, "database": {"dynamodb": section}}
    source = build_source(loaded(document).config.database, "dynamodb")
    try:
        yield source
    finally:
        await source.close()


def entries(aws: MotoAws, items: list[dict[str, Any]], key: str = "id", **changes: Any) -> list[dict[str, Any]]:
    async def read() -> list[dict[str, Any]]:
        name = f"apps-{next(_numbers)}"
        with dynamodb_table(aws, name, key) as made:
            for item in items:
                made.put(item)
            async with source_of(aws.url, name, **changes) as source:
                return sorted(await source.read(), key=lambda entry: str(entry["id"]))

    return asyncio.run(read())


def refusal(url: str, table: str = "nothing-here", **changes: Any) -> str:
    async def read() -> None:
        async with source_of(url, table, **changes) as source:
            await source.read()

    with pytest.raises(SourceUnavailable) as caught:
        asyncio.run(read())
    told = str(caught.value)
    assert SECRET_KEY not in told and "\n" not in told
    return told


@pytest.mark.usefixtures("credentials")
def test_soketis_items(aws: MotoAws) -> None:
    item = {
        "AppId": {"S": "1"},
        "AppKey": {"S": "k"},
        "AppSecret": {"S": "s"},
        "MaxConnections": {"N": "-1"},
        "EnableClientMessages": {"B": b"false"},
        "Enabled": {"B": b"true"},
        "MaxBackendEventsPerSecond": {"N": "20"},
        "MaxClientEventsPerSecond": {"N": "-1"},
        "MaxReadRequestsPerSecond": {"N": "-1"},
        "MaxEventBatchSize": {"N": "-1"},
        "Webhooks": {"S": HOOK_TEXT},
    }
    assert entries(aws, [item], "AppId") == [
        {"id": "1", "key": "k", "secret": "s", "max_connections": -1, "enable_client_messages": "false"}
        | {"enabled": "true", "max_backend_events_per_second": 20, "max_client_events_per_second": -1}
        | {"max_read_requests_per_second": -1, "webhooks": [HOOK]}
    ]


@pytest.mark.usefixtures("credentials")
def test_sockudos_items(aws: MotoAws) -> None:
    """As it writes them now, with a policy, and as it wrote them before."""
    policy = '{"limits": {"max_connections": 3}, "features": {"enable_client_messages": true}, "webhooks": null}'
    old = ONE | {
        "enabled": {"BOOL": False},
        "max_connections": {"N": "100"},
        "enable_watchlist_events": {"NULL": True},
        "allowed_origins": {"L": [{"S": "a.example"}]},
        "webhooks": {"S": HOOK_TEXT},
    }
    new = {
        "id": {"S": "2"},
        "key": {"S": "k2"},
        "secret": {"S": "s2"},
        "enabled": {"BOOL": True},
        "policy": {"S": policy},
    }
    assert entries(aws, [old, new]) == [
        {"id": "1", "key": "k", "secret": "s", "enabled": False, "max_connections": 100}
        | {"allowed_origins": ["a.example"], "webhooks": [HOOK]},
        {"id": "2", "key": "k2", "secret": "s2", "enabled": True, "max_connections": 3, "enable_client_messages": True},
    ]


@pytest.mark.usefixtures("credentials")
def test_nested_attributes(aws: MotoAws) -> None:
    hook = {"url": {"S": HOOK["url"]}, "event_types": {"SS": ["channel_occupied"]}, "headers": {"M": {"A": {"S": "1"}}}}
    limit = {"enabled": {"BOOL": True}, "max_attempts": {"N": "5"}, "decay_seconds": {"N": "1"}}
    item = ONE | {
        "webhooks": {"L": [{"M": hook}]},
        "message_rate_limit": {"M": limit},
        "max_event_payload_in_kb": {"N": "0.5"},
    }
    (entry,) = entries(aws, [item])
    assert entry["webhooks"] == [HOOK | {"headers": {"A": "1"}}]
    assert entry["message_rate_limit"] == {"enabled": True, "max_attempts": 5, "decay_seconds": 1}
    assert entry["max_event_payload_in_kb"] == 0.5


@pytest.mark.usefixtures("credentials")
def test_all_pages_are_read(aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dynamodb_module, "PAGE_ITEMS", 2)
    items = [{"id": {"S": f"{number}"}, "key": {"S": "k"}, "secret": {"S": "s"}} for number in range(7)]
    assert [entry["id"] for entry in entries(aws, items)] == [str(number) for number in range(7)]
    assert entries(aws, []) == []
    monkeypatch.setattr(dynamodb_module, "MAX_ROWS", 5)
    with pytest.raises(SourceUnavailable, match="has more than 5 items"):
        entries(aws, items)


def test_keys_and_profiles_from_the_configuration(aws: MotoAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    use_credentials(monkeypatch.setenv)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "no AWS credentials were found" in refusal(aws.url)
    keys = {"aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"], "aws_secret_access_key": SECRET_KEY}
    assert len(entries(aws, [ONE], **keys)) == 1
    shared = tmp_path / "credentials"
    shared.write_text("[chat]\n" + "".join(f"{name} = {value}\n" for name, value in keys.items()))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(shared))
    assert len(entries(aws, [ONE], aws_profile_name="chat")) == 1
    assert "(other) could not be found" in refusal(aws.url, aws_profile_name="other")


@pytest.mark.usefixtures("credentials")
def test_missing_table_and_nobody_there(aws: MotoAws) -> None:
    told = refusal(aws.url)
    assert told.startswith(f"dynamodb in {REGION}, table nothing-here: ResourceNotFoundException")
    assert "cannot connect" in refusal(f"http://127.0.0.1:{free_port()}")


@pytest.mark.usefixtures("credentials")
async def test_a_change_is_seen_by_the_next_reading(aws: MotoAws) -> None:
    name = f"apps-{next(_numbers)}"
    with dynamodb_table(aws, name, "id") as made:
        async with source_of(aws.url, name) as source:
            assert await source.read() == []
            made.put(ONE)
            assert await source.read() == [{"id": "1", "key": "k", "secret": "s"}]
            made.put(ONE | {"enabled": {"BOOL": False}})
            assert await source.read() == [{"id": "1", "key": "k", "secret": "s", "enabled": False}]
