"""`python -m engine webhooks …`: dead letters listed, sent again or forgotten, and webhooks tried out.

It works on the queue of the running engine and never becomes its consumer; what it sends again the leader delivers.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import orjson

from engine.app import App, Endpoint
from engine.cli.queue import open_queue, where
from engine.cli.target import describe
from engine.cli.text import complain, say
from engine.config.root import Config
from engine.errors import DeliveryError, StoreUnavailable
from engine.interfaces import Job, WebhookQueue
from engine.log.escapes import one_line
from engine.protocol.json_values import loads
from engine.webhooks.senders.registry import Senders

#: Channels that a line about a job names.
SHOWN = 3


def show_failed(config: Config, apps: Sequence[App], limit: int, *, as_json: bool) -> int:
    """Print the newest dead letters with the history of each; returns the exit status."""

    async def run(queue: WebhookQueue) -> int:
        jobs, count = await queue.dead_letters(limit), (await queue.depth())["dead"]
        for job in jobs:
            (_print_json if as_json else _print)(job, _endpoint(apps, job))
        if not as_json:
            _summarise(len(jobs), count, limit)
        return 0

    return _with_queue(config, run)


def retry(config: Config, job_ids: Sequence[str], *, every: bool) -> int:
    """Put dead letters back in line, as if they had never been sent, and make due retries that are waited for.

    Returns the exit status.
    """

    async def run(queue: WebhookQueue) -> int:
        if every:
            say(f"{await queue.requeue(None)} sent again")
            return 0
        missing = [job_id for job_id in job_ids if not (await queue.requeue(job_id) or await queue.hasten(job_id))]
        for job_id in missing:
            complain(f"{one_line(job_id)} is not among the dead letters, and waits for no retry")
        say(f"{len(job_ids) - len(missing)} sent again")
        return 1 if missing else 0

    return _with_queue(config, run)


def purge(config: Config) -> int:
    """Forget all dead letters; returns the exit status."""

    async def run(queue: WebhookQueue) -> int:
        say(f"{await queue.purge_dead_letters()} forgotten")
        return 0

    return _with_queue(config, run)


def try_out(config: Config, app: App) -> int:
    """Send a signed test event to each webhook of an application, past its queue; returns the exit status."""
    if not app.endpoints:
        complain(f"application {app.id} has no webhooks")
        return 1
    failures = asyncio.run(_try_out(app, Senders(allow_private_targets=config.webhooks.allow_private_targets)))
    return 1 if failures else 0


async def _try_out(app: App, senders: Senders) -> int:
    width = max(len(describe(endpoint)) for endpoint in app.endpoints)
    failures = 0
    await senders.start()
    try:
        await senders.prepare([app])
        for endpoint in app.endpoints:
            started = time.monotonic()
            try:
                outcome = await senders.by_kind[endpoint.target.kind].send(app, endpoint, trial_job(app, endpoint))
            except DeliveryError as error:
                failures += 1
                outcome = f"failed: {error}"
            took_ms = (time.monotonic() - started) * 1000
            say(f"{describe(endpoint).ljust(width)}  {took_ms:6.0f} ms  {one_line(outcome)}")
    finally:
        await senders.stop()
    return failures


def trial_job(app: App, endpoint: Endpoint) -> Job:
    now_ms = time.time_ns() // 1_000_000
    event = {"name": "test", "channel": "test", "time_ms": now_ms}
    body = orjson.dumps({"time_ms": now_ms, "events": [event]}).decode()
    return Job(os.urandom(16).hex(), app.id, endpoint.id, body, ("test",), now_ms)


def _with_queue(config: Config, run: Callable[[WebhookQueue], Awaitable[int]]) -> int:
    async def opened() -> int:
        async with open_queue(config) as queue:
            return await run(queue)

    try:
        return asyncio.run(opened())
    except StoreUnavailable as error:
        complain(f"cannot reach the webhook queue, {where(config)}: {one_line(str(error))}; is the engine running?")
        return 1


def _print(job: Job, endpoint: Endpoint | None) -> None:
    target = f"endpoint {job.endpoint_id}, not configured any more" if endpoint is None else describe(endpoint)
    say(f"{one_line(job.id)}  app {one_line(job.app_id)}  {one_line(target)}")
    say(f"    {one_line(_content(job))}")
    for line in job.errors:
        say(f"    {one_line(line)}")


def _print_json(job: Job, endpoint: Endpoint | None) -> None:
    say(
        orjson.dumps(
            {
                "id": job.id,
                "app_id": job.app_id,
                "endpoint_id": job.endpoint_id,
                "target": None if endpoint is None else describe(endpoint),
                "attempts": job.attempt,
                "errors": job.errors,
                "channels": job.channels,
                "body": job.body,
            }
        ).decode()
    )


def _summarise(shown: int, count: int, limit: int) -> None:
    say(f"{shown} of {max(count, shown)} dead letters" + (" (--limit shows more)" if limit < count else ""))
    if shown < min(count, limit):
        complain(f"{count - shown} further entries are no jobs; `webhooks purge` forgets them with the others")
    if shown:
        say("send one again: python -m engine webhooks retry ID; all of them: --all")


def _content(job: Job) -> str:
    """Its events, such as ``2 × member_added, channel_occupied: presence-a, presence-b``."""
    try:
        names = Counter(str(event["name"]) for event in loads(job.body)["events"])
    except (ValueError, KeyError, TypeError):
        names = Counter({"an unreadable body": 1})
    events = ", ".join(name if count == 1 else f"{count} × {name}" for name, count in names.items())
    more = len(job.channels) - SHOWN
    return f"{events}: {', '.join(job.channels[:SHOWN])}" + (f" and {more} more" if more > 0 else "")


def _endpoint(apps: Sequence[App], job: Job) -> Endpoint | None:
    found = (e for app in apps if app.id == job.app_id for e in app.endpoints if e.id == job.endpoint_id)
    return next(found, None)
