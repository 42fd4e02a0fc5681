"""What consoles of other nodes ask this worker: the node's figures, and what happens in an application.

Told over the Redis that all nodes share, bounded whatever happens here. While nobody looks, nothing of it is there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from engine.errors import ConfigError
from engine.metrics import figures
from engine.metrics.families import Family
from engine.metrics.metrics import Metrics
from engine.tap.question import ANSWERS, FIGURES, Question, decode
from engine.tap.tap import Tap, Watcher
from engine.tasks import within
from engine.worker.remote_answers import RemoteAnswers

#: Pages of other nodes' consoles that show what happens here.
MAX_LOOKS = 8
#: Answers that are on their way at one time.
MAX_TASKS = 64
#: Of an event's data.
MAX_DATA = 500
#: Since a console has asked last; it asks every two seconds.
LEASE_S = 6.0
#: Between two pieces for one page.
PIECE_S = 0.2
#: Figures are read no more than this part of the time, and asking is of no use for no longer than that.
SHARE, MAX_PAUSE_S = 0.02, 10.0

_log = logging.getLogger(__name__)


class RemoteLooks:
    """:param publish: to a topic; answers how many heard it. :param prefix: of topics.
    :param node: host and port, as consoles name this node. :param directory: where its processes keep their numbers;
        its name is the life of the node. :param slot: this worker's.
    """

    def __init__(
        self,
        publish: Callable[[bytes, bytes], Awaitable[int]],
        prefix: str,
        node: str,
        tap: Tap,
        directory: Path,
        slot: int,
    ) -> None:
        self._answers = RemoteAnswers(publish, "remote-look")
        self._stem = prefix.encode()
        self._about = {"life": directory.name, "node": node, "slot": slot}
        self._tap = tap
        self._directory = directory
        self._slot = slot
        self._families: dict[str, Family] = {}
        self._reading = False
        self._read_again_at = 0.0
        self._looks: dict[tuple[str, int], _Look] = {}

    def begin(self, request: bytes) -> None:
        """What is no question is passed over: it comes from nobody whom it could be told."""
        try:
            question = decode(request)
        except ConfigError as error:
            _log.debug("another node's console asks nothing: %s", error)
            return
        if question.asker == self._about["life"] or len(self._answers) >= MAX_TASKS:
            return
        topic = self._stem + ANSWERS + question.answers.encode()
        if question.console == FIGURES:
            self._begin_figures(topic, question)
        else:
            self._begin_look(topic, question)

    async def stop(self) -> None:
        await self._answers.stop()

    def _begin_figures(self, topic: bytes, question: Question) -> None:
        """One worker of the node answers, each in its turn, so that a stuck one is missed now and then only."""
        slots = figures.living(self._directory)
        mine = bool(slots) and slots[question.number % len(slots)] == self._slot
        if mine and not self._reading and time.monotonic() >= self._read_again_at:
            self._reading = True
            self._answers.serve(self._send_figures(topic, question.number))

    async def _send_figures(self, topic: bytes, number: int) -> None:
        began = time.monotonic()
        try:
            found = await asyncio.to_thread(self._read)
        finally:
            self._reading = False
        now = time.monotonic()
        self._read_again_at = now + min(MAX_PAUSE_S, (now - began) / SHARE)
        await self._send(topic, {"number": number, "time_ms": time.time() * 1000, "figures": found})

    def _read(self) -> dict[str, Any]:
        if not self._families:
            self._families = {f.name: f for f in Metrics().families if f.name in figures.HISTOGRAMS}
        return figures.summary(figures.read(self._directory, self._families))

    def _begin_look(self, topic: bytes, question: Question) -> None:
        key = question.answers, question.look
        look = self._looks.get(key)
        if look is None and len(self._looks) >= MAX_LOOKS:
            self._answers.serve(self._answer(topic, {"look": question.look, "full": True}))
            return
        # Each time that it asks it hears that this worker is there.
        self._answers.serve(self._answer(topic, {"look": question.look, "events": []}))
        if look is None:
            look = self._looks[key] = _Look(Watcher(question.app, question.per_second, MAX_DATA))
            self._tap.open(look.watcher)
            self._answers.serve(self._show(topic, question.look, look), lambda: self._end(key))
        look.ends_at = time.monotonic() + LEASE_S
        look.watcher.per_second = question.per_second

    async def _show(self, topic: bytes, number: int, look: _Look) -> None:
        """Ends when nobody hears it, when nobody asks any more, and when Redis does not take it."""
        while (left_s := look.ends_at - time.monotonic()) > 0:
            try:
                async with within(left_s):
                    events = await look.watcher.take()
            except TimeoutError:
                continue
            if not await self._send(topic, {"look": number, "events": events}):
                return
            await asyncio.sleep(PIECE_S)

    def _end(self, key: tuple[str, int]) -> None:
        look = self._looks.pop(key, None)
        if look is not None:
            self._tap.close(look.watcher)

    async def _answer(self, topic: bytes, message: dict[str, Any]) -> None:
        await self._send(topic, message)

    async def _send(self, topic: bytes, message: dict[str, Any]) -> int:
        """How many heard it."""
        return await self._answers.say(topic, orjson.dumps(self._about | message, option=orjson.OPT_NON_STR_KEYS))


@dataclass(slots=True)
class _Look:
    """A page of another node's console. :ivar ends_at: unless it asks again."""

    watcher: Watcher
    ends_at: float = 0.0
