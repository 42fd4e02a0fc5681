"""Jobs: events become requests, one per endpoint, and requests become the bytes that a queue holds.

Pure; what it decodes may come from anyone who can write to the queue, so it checks everything and trusts nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import orjson

from engine.app import App
from engine.interfaces import Job
from engine.webhooks.event import WebhookEvent
from engine.webhooks.filter import wants

#: Longest entry of a queue that is looked at; a hundred events of the largest size stay below it.
MAX_JOB_BYTES = 32 * 1024 * 1024
#: Of a malformed entry so much is kept beside the reason.
KEPT_BYTES = 64 * 1024
#: Traces that one request belongs to, as the SDK has it for links of a span.
MAX_TRACES = 128
# The id travels as a header.
_ID = re.compile(r"[A-Za-z0-9_.:=-]{1,128}\Z")


class Batching(Protocol):
    """The configuration's `webhooks.batching`: `duration` in milliseconds, `size` in events."""

    @property
    def enabled(self) -> bool: ...
    @property
    def duration(self) -> int: ...
    @property
    def size(self) -> int: ...


class MalformedJob(ValueError):
    """An entry of a queue that is no job; the text says why."""


def jobs_for(app: App, events: Iterable[WebhookEvent], batching: Batching, now_ms: int) -> list[Job]:
    """The requests that bring these events of one app to every endpoint that wants them, in order (W-24).

    :param now_ms: creation time of the requests (W-3).
    """
    events = list(events)
    size = batching.size if batching.enabled else 1
    jobs = []
    for endpoint in app.endpoints:
        wanted = [e for e in events if e.app_id == app.id and wants(endpoint, e.name, e.channel, e.client_event)]
        jobs += [make_job(app.id, endpoint.id, wanted[at : at + size], now_ms) for at in range(0, len(wanted), size)]
    return jobs


def make_job(app_id: str, endpoint_id: str, events: Sequence[WebhookEvent], now_ms: int) -> Job:
    """One request with all of `events` (W-2). The body is made here, once; every attempt signs it as it is (W-30)."""
    body = b'{"time_ms":%d,"events":[%b]}' % (now_ms, b",".join(event.payload for event in events))
    channels = tuple(dict.fromkeys(event.order for event in events))
    job = Job(os.urandom(16).hex(), app_id, endpoint_id, body.decode(), channels, now_ms)
    job.traces = tuple(event.trace for event in events if event.trace)[:MAX_TRACES]
    return job


def lane_of(job: Job) -> str:
    """The lane that a job waits in: one for each endpoint."""
    return f"{job.app_id}/{job.endpoint_id}"


def encode(job: Job, *, delayed: bool = False, dead_ms: int | None = None) -> bytes:
    """A queue entry. `app_id` and `endpoint_id` come first: the queue's scripts read the lane from them.

    :param delayed: it waits for a retry, so `decode` must go on counting where it stands. Anything else that is
        found in a queue, such as a dead letter moved there by hand, is delivered like new.
    :param dead_ms: when it was given up.
    """
    fields: dict[str, Any] = {
        "app_id": job.app_id,
        "endpoint_id": job.endpoint_id,
        "id": job.id,
        # For an operator who looks at `redis-cli monitor`.
        "kind": "webhook",
        "time_ms": job.time_ms,
        "channels": job.channels,
        "attempt": job.attempt,
        "errors": job.errors,
    }
    if job.traces:
        fields["traces"] = job.traces
    if delayed:
        fields["delayed"] = True
    if dead_ms is not None:
        fields["dead_ms"] = dead_ms
    fields["body"] = job.body
    return orjson.dumps(fields)


def decode(entry: bytes, *, dead: bool = False) -> Job:
    """The job in a queue entry. Raises MalformedJob.

    :param dead: keep attempts and errors, as a list of dead letters shows them.
    """
    fields = _object(entry)
    job = Job(
        _text(fields, "id"),
        _text(fields, "app_id"),
        _text(fields, "endpoint_id"),
        _text(fields, "body"),
        tuple(_texts(fields, "channels")),
        _count(fields, "time_ms"),
    )
    if not _ID.match(job.id):
        raise MalformedJob("id is no token")
    job.traces = tuple(_texts(fields, "traces")[:MAX_TRACES])
    attempt, errors = _count(fields, "attempt"), _texts(fields, "errors")
    if dead or fields.get("delayed") is True:
        job.attempt, job.errors = attempt, errors
    return job


def malformed_entry(entry: bytes, reason: str) -> bytes:
    """What the dead letters keep of something that is no job; one of those, requeued by hand, stays as it is."""
    if entry.startswith(b'{"malformed":'):
        return entry
    return orjson.dumps({"malformed": reason, "entry": entry[:KEPT_BYTES].decode("utf-8", "replace")})


def _object(entry: bytes) -> dict[str, Any]:
    if len(entry) > MAX_JOB_BYTES:
        raise MalformedJob(f"{len(entry)} bytes are too many")
    try:
        fields = orjson.loads(entry)
    except orjson.JSONDecodeError as error:
        raise MalformedJob(f"no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise MalformedJob("no JSON object")
    return fields


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedJob(f"{name} is no text")
    return value


def _texts(fields: dict[str, Any], name: str) -> list[str]:
    value = fields.get(name, [])
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise MalformedJob(f"{name} is no list of texts")
    return value


def _count(fields: dict[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise MalformedJob(f"{name} is no count")
    return value
