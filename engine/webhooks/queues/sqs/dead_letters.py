"""Dead letters in a queue of their own in SQS: put there, looked at, sent once more, forgotten.

SQS cannot look without taking: what is looked at is hidden for a moment and given back.
"""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import orjson

from engine.interfaces import Job
from engine.webhooks.job import MalformedJob, decode, encode, malformed_entry
from engine.webhooks.queues.sqs.client import Incoming, Sqs
from engine.webhooks.queues.sqs.messages import MAX_BATCH, MAX_BYTES, Outgoing, as_text

QUEUE = "failed"
#: How long a letter that is looked at is hidden, should this process die meanwhile.
LOOK_S = 60
#: Letters that are looked at to find the newest.
MAX_LOOK = 1_000
#: Waiting is what makes SQS ask all of its servers; an answer without messages then means that there are none.
WAIT_S = 1
#: Of what is no job so much is kept; it may grow sixfold in JSON.
KEPT_BYTES = 32 * 1024

Send = Callable[[Job, str], Awaitable[None]]


class DeadLetters:
    """Every method may raise StoreUnavailable."""

    def __init__(self, sqs: Sqs) -> None:
        self._sqs = sqs

    async def add(self, job: Job) -> None:
        await self._send(_entry(job))

    async def add_malformed(self, entry: bytes, reason: str) -> None:
        await self._send(malformed_entry(entry[:KEPT_BYTES], reason))

    async def newest(self, limit: int) -> list[Job]:
        """The newest, newest first. Of very many letters those that SQS shows first are looked at, in no order."""
        found: list[tuple[int, int, Job]] = []
        looked_at: list[str] = []
        try:
            async with aclosing(self._all()) as letters:
                async for message in letters:
                    looked_at.append(message.handle)
                    if (job := _readable(message.body)) is not None:
                        heapq.heappush(found, (_dead_ms(message.body), len(looked_at), job))
                        if len(found) > limit:
                            heapq.heappop(found)
                    if len(looked_at) >= max(limit, MAX_LOOK):
                        break
        finally:
            await self._sqs.hide(QUEUE, looked_at, 0)
        return [job for _, _, job in sorted(found, reverse=True)]

    async def requeue(self, job_id: str | None, send: Send) -> int:
        """Send one, or with None all of them, as new jobs; how many."""
        moved = 0
        kept: list[str] = []
        try:
            async with aclosing(self._all()) as letters:
                async for message in letters:
                    job = _readable(message.body)
                    if job is None or job_id not in (None, job.id):
                        kept.append(message.handle)
                        continue
                    # As another message: SQS must not take it for a repetition of the first one.
                    await send(replace(job, attempt=0, errors=[]), f"{job.id[:100]}.{os.urandom(4).hex()}")
                    await self._sqs.delete(QUEUE, message.handle)
                    moved += 1
                    if job_id is not None:
                        break
        finally:
            await self._sqs.hide(QUEUE, kept, 0)
        return moved

    async def forget(self, job_id: str) -> int:
        """Forget one; how many there were."""

        async def nowhere(_: Job, __: str) -> None:
            """It is not sent again."""

        return await self.requeue(job_id, nowhere)

    async def purge(self) -> int:
        """Forget all; about how many there were."""
        count = sum(await self._sqs.count(QUEUE))
        if count:
            await self._sqs.purge(QUEUE)
        return count

    async def _all(self) -> AsyncGenerator[Incoming, None]:
        """Each letter once, hidden from others."""
        seen: set[str] = set()
        messages: list[Incoming] = []
        try:
            while messages := await self._sqs.receive(QUEUE, MAX_BATCH, LOOK_S, WAIT_S):
                while messages:
                    if messages[0].id in seen:
                        # All have been looked at: those that come now were hidden for long enough.
                        return
                    seen.add(messages[0].id)
                    yield messages.pop(0)
        finally:
            await self._sqs.hide(QUEUE, [message.handle for message in messages], 0)

    async def _send(self, entry: bytes) -> None:
        await self._sqs.send(QUEUE, [Outgoing(as_text(entry), "", "")])


def _entry(job: Job) -> bytes:
    """With as much of its history as there is room for."""
    dead_ms = time.time_ns() // 1_000_000
    errors: Sequence[str] = job.errors
    while len(entry := encode(replace(job, errors=list(errors)), dead_ms=dead_ms)) > MAX_BYTES and errors:
        errors = errors[1:]
    return entry


def _readable(body: str) -> Job | None:
    try:
        return decode(body.encode(), dead=True)
    except MalformedJob:
        return None


def _dead_ms(body: str) -> int:
    value = orjson.loads(body).get("dead_ms")
    return value if isinstance(value, int) else 0
