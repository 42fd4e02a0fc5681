"""Webhooks that fail and those that were given up, as the page shows them; sent again or forgotten when it says so.

What a webhook's events hold is never shown, only their names and channels.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Protocol

from engine.app import App
from engine.console.audit import audit
from engine.console.known_apps import KnownApps
from engine.errors import ApiError
from engine.interfaces import Job
from engine.protocol.json_values import loads

#: Webhooks of each kind in one answer, the newest dead letters and the next retries, and channels named of one.
LIMIT = 100
MAX_CHANNELS = 5


class OperatedQueue(Protocol):
    """What an operator does with a `WebhookQueue`."""

    async def depth(self) -> Mapping[str, int]: ...

    async def dead_letters(self, limit: int) -> list[Job]: ...

    async def delayed_jobs(self, limit: int) -> list[Job]: ...

    async def requeue(self, job_id: str | None) -> int: ...

    async def hasten(self, job_id: str) -> int: ...

    async def forget(self, job_id: str) -> int: ...

    async def purge_dead_letters(self) -> int: ...


class Webhooks:
    """Answers for `GET /api/webhooks`, `POST /api/webhooks_retry` and `webhooks_forget`."""

    def __init__(self, apps: KnownApps, queue: OperatedQueue) -> None:
        self._apps = apps
        self._queue = queue

    async def read(self, _: dict[str, Any]) -> dict[str, Any]:
        """How many there are in each state; those given up, newest first; those that wait for a retry."""
        depth, dead, delayed, apps = await asyncio.gather(
            self._queue.depth(), self._queue.dead_letters(LIMIT), self._queue.delayed_jobs(LIMIT), self._apps.all()
        )
        return {
            "depth": dict(depth),
            "dead": [_shown(job, apps) for job in dead],
            "delayed": [_shown(job, apps) for job in delayed],
        }

    async def retry(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Send the dead letter `id` again, or `all` of them; one that waits for a retry at once."""
        chosen = _chosen(asked)
        number = await self._queue.requeue(chosen)
        if chosen is not None and not number and (number := await self._queue.hasten(chosen)):
            audit(f"the retry of a webhook was made due ({chosen})")
        else:
            audit(f"{number} dead letters were sent again ({chosen or 'all'})")
        return {"number": number}

    async def forget(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Forget the dead letter `id`, or `all` of them."""
        chosen = _chosen(asked)
        number = await (self._queue.purge_dead_letters() if chosen is None else self._queue.forget(chosen))
        audit(f"{number} dead letters were forgotten ({chosen or 'all'})")
        return {"number": number}


def _chosen(asked: dict[str, Any]) -> str | None:
    """An id; None for all. Nothing that was left out by mistake may mean all."""
    chosen = asked.get("id")
    if asked.get("all") is True and chosen is None:
        return None
    if not isinstance(chosen, str) or not chosen:
        raise ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", "an id, or all: true, says which")
    return chosen


def _shown(job: Job, apps: Sequence[App]) -> dict[str, Any]:
    found = (e.target.label for app in apps if app.id == job.app_id for e in app.endpoints if e.id == job.endpoint_id)
    return {
        "id": job.id,
        "app": job.app_id,
        "target": next(found, f"endpoint {job.endpoint_id}, not configured any more"),
        "events": _events(job),
        "channels": list(job.channels[:MAX_CHANNELS]),
        "more_channels": max(0, len(job.channels) - MAX_CHANNELS),
        "time_ms": job.time_ms,
        "attempts": job.attempt,
        "errors": job.errors,
    }


def _events(job: Job) -> dict[str, int]:
    """Names of its events, and how many of each."""
    try:
        return dict(Counter(str(event["name"]) for event in loads(job.body)["events"]))
    except (ValueError, KeyError, TypeError):
        return {"an unreadable body": 1}
