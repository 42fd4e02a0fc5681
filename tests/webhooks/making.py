"""Apps, endpoints, events and jobs for the webhook tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine._fast.signature import Signer
from engine.app import App, Endpoint, HttpTarget
from engine.config.event_types import EVENT_TYPES
from engine.interfaces import Job
from engine.webhooks.event import WebhookEvent, cache_miss

SECRET = "7ad3773142a6692b25b8"
KEY = "278d425bdf160c739803"
NOW_MS = 1_700_000_000_000


@dataclass(frozen=True)
class Batches:
    """`webhooks.batching`."""

    enabled: bool = True
    duration: int = 50
    size: int = 100


def make_app(*endpoints: Endpoint, app_id: str = "app-1", secret: str = SECRET) -> App:
    return App(id=app_id, key=KEY, secret=secret, signer=Signer(secret), endpoints=endpoints)


def make_endpoint(endpoint_id: str = "e1", url: str = "http://127.0.0.1:9/", **fields: Any) -> Endpoint:
    fields.setdefault("event_types", frozenset(EVENT_TYPES))
    return Endpoint(id=endpoint_id, target=HttpTarget(url), **fields)


def make_event(channel: str = "room", app_id: str = "app-1", time_ms: int = NOW_MS) -> WebhookEvent:
    return cache_miss(app_id, channel, time_ms)


def plain_job(job_id: str, *channels: str, endpoint_id: str = "e1", app_id: str = "app-1") -> Job:
    return Job(job_id, app_id, endpoint_id, '{"time_ms":1,"events":[]}', channels or ("room",), NOW_MS)
