"""What this worker tells operators at other nodes, over the Redis that all share: bounded, and owned until its end.

Knows topics and bytes, and nothing of what they are about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from engine.tasks import cancel, serve, within

#: For Redis to take one message.
TIMEOUT_S = 3.0

_log = logging.getLogger(__name__)


class RemoteAnswers:
    """:param publish: to a topic; answers how many heard it. :param name: of the tasks."""

    def __init__(self, publish: Callable[[bytes, bytes], Awaitable[int]], name: str) -> None:
        self._publish = publish
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Tasks that tell."""
        return len(self._tasks)

    def serve(self, work: Coroutine[Any, Any, None], end: Callable[[], object] = lambda: None) -> None:
        """Run what tells. :param end: called when it is over, however that came."""
        task = serve(work, self._name, lambda: None)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: end())

    async def say(self, topic: bytes, message: bytes) -> int:
        """How many heard it; nobody, where Redis does not take it in time."""
        try:
            async with within(TIMEOUT_S):
                return await self._publish(topic, message)
        except Exception as error:  # noqa: BLE001 (what is told elsewhere is never worth more than itself)
            _log.debug("%s: an operator at another node is told no more: %s", self._name, error)
            return 0

    async def stop(self) -> None:
        for task in list(self._tasks):
            await cancel(task)
