"""Follows what operators ask for, as long as they listen; while nobody does, nothing of it is there.

A tap stands in front of a method of one object, only while somebody listens, and is taken away again: so the parts
know nothing of being followed, and it costs nothing when nobody follows. Taps never change what a method gets or gives.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from engine.tap.question import is_question
from engine.tasks import cancel, serve
from engine.trace.follow import MAX_TRACES, Fact, Follow
from engine.trace.lines import Sender
from engine.worker.remote_looks import RemoteLooks
from engine.worker.remote_traces import RemoteTraces

#: Questions to the shared state that are under way at one time.
MAX_QUESTIONS = 32

_log = logging.getLogger(__name__)


def harmless(report: Callable[..., None]) -> Callable[..., None]:
    """A report must not end what it reports: a fault in it is logged."""

    @functools.wraps(report)
    def guarded(*given: Any, **more: Any) -> None:
        try:
            report(*given, **more)
        except Exception:  # noqa: BLE001 (whatever it is, what is followed goes on)
            _log.exception("a line of a trace could not be made")

    return guarded


class Taps:
    """What stands in front of methods now."""

    def __init__(self) -> None:
        #: Owner, name, and what the owner had there of its own, if anything.
        self._placed: list[tuple[Any, str, Any]] = []
        self._undo: list[Callable[[], None]] = []

    def place(self, owner: Any, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """:param around: gives what is called instead of the method that it gets."""
        self._placed.append((owner, name, vars(owner).get(name)))
        vars(owner)[name] = around(getattr(owner, name))

    def on_removal(self, call: Callable[[], None]) -> None:
        """Have this done too when the taps are taken away."""
        self._undo.append(call)

    def remove(self) -> None:
        while self._undo:
            self._undo.pop()()
        for owner, name, before in reversed(self._placed):
            del vars(owner)[name]
            if before is not None:
                vars(owner)[name] = before
        self._placed.clear()


class Tracing:
    """:param worker: number of this one in its node.
    :param place: puts taps in front of what is to be followed; they call `note`.
    :param describe: what is known, at its beginning, of what a trace follows: (stage, text).
    :ivar remote: what operators at other nodes ask through, where there is a Redis. :ivar looks: their consoles too.
    """

    def __init__(
        self,
        worker: int,
        place: Callable[[Taps, Tracing], None],
        describe: Callable[[Follow], list[tuple[str, str]]],
    ) -> None:
        self._worker = worker
        self._place = place
        self._describe = describe
        self._taps = Taps()
        self._followers: dict[Follower, asyncio.TimerHandle] = {}
        self._asking: set[asyncio.Task[None]] = set()
        self.remote: RemoteTraces | None = None
        self.looks: RemoteLooks | None = None

    def __len__(self) -> int:
        return len(self._followers)

    @property
    def follows(self) -> list[Follow]:
        return [follower.follow for follower in self._followers]

    def begin(self, follow: Follow, connection: socket.socket, node: str = "") -> None:
        """:param connection: takes datagrams; closed at the end. :param node: how an operator elsewhere is told of this
        one. The operator of this node may have asked for the same trace, or may be about to.
        """
        same = next((each for each in self._followers if follow.id and each.follow.id == follow.id), None)
        if same is not None and node:
            connection.close()
            return
        if same is not None:
            self._end(same)
        follower = Follower(follow, Sender(connection, self._worker, node=node))
        if len(self._followers) >= MAX_TRACES:
            follower.sender.send("refused", f"{MAX_TRACES} traces are under way already")
            follower.sender.close()
            return
        if not self._followers:
            self._place(self._taps, self)
        loop = asyncio.get_running_loop()
        # Nothing ever comes from the command but its end.
        loop.add_reader(connection, self._end, follower)
        self._followers[follower] = loop.call_later(follow.seconds, self._end, follower)
        self._report_beginning(follower)

    def begin_elsewhere(self, request: bytes) -> None:
        """An operator at another node asks."""
        if is_question(request):
            if self.looks is not None:
                self.looks.begin(request)
        elif self.remote is not None:
            self.remote.begin(request)

    def wanted(self, fact: Fact) -> bool:
        """Whether anybody follows that."""
        return any(follow.wants(fact) for follow in self.follows)

    def note(self, stage: str, text: str, fact: Fact) -> None:
        """Send it to whoever follows it. What happened goes on whether that succeeds or not."""
        for follower in list(self._followers):
            if follower.follow.wants(fact):
                follower.sender.send(stage, text)
                if follower.sender.gone:
                    self._end(follower)

    def ask(self, question: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have something found out that takes a while; given up where too much of it is under way."""
        if len(self._asking) < MAX_QUESTIONS:
            task = serve(question(), "trace", lambda: None)
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)

    async def start(self) -> None:
        """Nobody follows anything yet."""

    async def stop(self) -> None:
        for follower in list(self._followers):
            self._end(follower)
        for task in list(self._asking):
            await cancel(task)
        if self.remote is not None:
            await self.remote.stop()
        if self.looks is not None:
            await self.looks.stop()

    @harmless
    def _report_beginning(self, follower: Follower) -> None:
        for stage, text in self._describe(follower.follow):
            follower.sender.send(stage, text)

    def _end(self, follower: Follower) -> None:
        timer = self._followers.pop(follower, None)
        if timer is None:
            return
        timer.cancel()
        asyncio.get_running_loop().remove_reader(follower.sender.connection)
        follower.sender.close()
        if not self._followers:
            self._taps.remove()


class Follower:
    """One operator who listens."""

    def __init__(self, follow: Follow, sender: Sender) -> None:
        self.follow = follow
        self.sender = sender
