"""Jobs as SQS takes them: within its size, in characters that it knows, and in groups that keep their order.

Pure: it calls nothing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.interfaces import Job
from engine.protocol.json_values import dumps, loads
from engine.webhooks.job import encode, lane_of

#: The largest message that every queue takes, and all messages of one call together; newer queues may take more.
MAX_BYTES = 256 * 1024
#: The largest job: as a dead letter it says more.
MAX_JOB_BYTES = MAX_BYTES - 4 * 1024
#: Messages in one call (SQS).
MAX_BATCH = 10
#: The two characters that JSON text may hold as they are and SQS refuses.
_ESCAPED = {0xFFFE: "\\ufffe", 0xFFFF: "\\uffff"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to be sent.

    :param group: in a FIFO queue, messages of one group are received in the order in which they were sent.
    :param once: in a FIFO queue, a second message with the same text here is dropped for five minutes.
    """

    body: str
    group: str
    once: str


def messages_of(job: Job, group_id: str, once: str) -> list[Outgoing]:
    """The job as one message, or as several, each a job with a part of its events, where one would be too large.

    :param once: sets this sending apart from others of the same job.
    """
    body = as_text(encode(job))
    if len(body.encode()) <= MAX_JOB_BYTES:
        return [Outgoing(body, _group(group_id, job), once)]
    halves = _halves(job)
    if not halves:
        _log.error(
            "webhook queue: a webhook of app %s with %d bytes is lost, SQS takes %d",
            *(job.app_id, len(body.encode()), MAX_JOB_BYTES),
        )
    return [part for number, half in enumerate(halves, 1) for part in messages_of(half, group_id, f"{once}-{number}")]


def batches(messages: Iterable[Outgoing], *, fifo: bool) -> Iterator[list[Outgoing]]:
    """What may go in one call, in order. In a FIFO queue no two of one group do: if only the first of them failed, the
    second would overtake it."""
    batch: list[Outgoing] = []
    size = 0
    for message in messages:
        bytes_ = len(message.body.encode())
        taken = fifo and any(message.group == other.group for other in batch)
        if batch and (len(batch) == MAX_BATCH or size + bytes_ > MAX_BYTES or taken):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += bytes_
    if batch:
        yield batch


def as_text(entry: bytes) -> str:
    """A queue entry in characters that SQS takes."""
    return entry.decode().translate(_ESCAPED)


def _group(group_id: str, job: Job) -> str:
    """One for each endpoint: a job has several channels, and an endpoint that is down must not hold up another."""
    return f"{group_id}.{hashlib.sha256(lane_of(job).encode()).hexdigest()[:24]}"


def _halves(job: Job) -> Sequence[Job]:
    """Two jobs with half of the events each, in order; none when there are not two events."""
    try:
        content = loads(job.body)
        time_ms, events = content["time_ms"], content["events"]
    except (ValueError, KeyError, TypeError):
        return ()
    if not isinstance(events, list) or len(events) < 2:
        return ()
    middle = len(events) // 2
    return [
        replace(
            job,
            id=f"{job.id}-{number}",
            body=dumps({"time_ms": time_ms, "events": part}).decode(),
            channels=_channels(job, part),
            errors=list(job.errors),
        )
        for number, part in enumerate((events[:middle], events[middle:]), 1)
    ]


def _channels(job: Job, events: list[Any]) -> tuple[str, ...]:
    """Those of the job's channels (or sockets) that these events are of."""
    named = {str(event.get("channel")) for event in events if isinstance(event, dict)}
    named |= {f"socket {event.get('socket_id')}" for event in events if isinstance(event, dict)}
    return tuple(channel for channel in job.channels if channel in named) or job.channels
