"""What is told of webhooks while somebody follows what they are about (`tracing.py`).

Told are events' names, channels, webhooks by their ids, and how each attempt went. Never a body,
an address or a secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.app import App
from engine.interfaces import Job, Transition
from engine.trace.follow import Fact
from engine.webhooks.event import WebhookEvent
from engine.webhooks.filter import wants
from engine.worker.trace_taps import Followed, some
from engine.worker.tracing import Taps, Tracing, harmless

_SOCKET = "socket "


class WebhookTaps:
    """From what happened to what an endpoint said. What is decided is told by the worker that leads, and so are
    deliveries."""

    def __init__(self, parts: Followed, tracing: Tracing) -> None:
        self._parts = parts
        self._tracing = tracing
        #: Given up during the attempt that is under way.
        self._buried: set[str] = set()

    def place(self, taps: Taps) -> None:
        taps.place(self._parts.batcher, "add", self._add)
        taps.place(self._parts.store, "commit", self._commit)
        taps.place(self._parts.attempts, "make", self._make)
        taps.place(self._parts.attempts, "bury", self._bury)

    def _add(self, add: Callable[[App, WebhookEvent], None]) -> Callable[[App, WebhookEvent], None]:
        def tap(app: App, event: WebhookEvent) -> None:
            self._note_event(app.id, event.name, event.channel, event.order, event.client_event)
            add(app, event)

        return tap

    def _commit(self, commit: Callable[..., Awaitable[bool]]) -> Callable[..., Awaitable[bool]]:
        async def tap(holder: str, transitions: Sequence[Transition], *rest: Any) -> bool:
            committed = await commit(holder, transitions, *rest)
            for each in transitions if committed else ():
                self._note_event(each.app_id, each.name, each.channel, each.channel, user=each.user_id or "")
            return bool(committed)

        return tap

    def _make(self, make: Callable[[Job], Awaitable[bool]]) -> Callable[[Job], Awaitable[bool]]:
        async def tap(job: Job) -> bool:
            delayed = await make(job)
            if delayed:
                self._note_job("retried", job, f"failed and is tried again: {_last_error(job)}")
            elif job.id in self._buried:
                self._buried.discard(job.id)
            else:
                self._note_job("delivered", job, f"was taken at attempt {job.attempt}")
            return delayed

        return tap

    def _bury(self, bury: Callable[[Job, str], Awaitable[None]]) -> Callable[[Job, str], Awaitable[None]]:
        async def tap(job: Job, reason: str) -> None:
            self._buried.add(job.id)
            await bury(job, reason)
            self._note_job("dead", job, f"is given up after {job.attempt} attempts: {reason}")

        return tap

    @harmless
    def _note_event(
        self, app_id: str, name: str, channel: str, order: str, client_event: str = "", user: str = ""
    ) -> None:
        app = self._parts.apps.by_id(app_id)
        endpoints = [] if app is None else [e.id for e in app.endpoints if wants(e, name, channel, client_event)]
        of = channel or order
        fact = _fact(app_id, (of,), (user,) if user else (), client_event)
        if endpoints:
            self._tracing.note("queued", f"app {app_id}: {name} of {of} for webhook {some(endpoints)}", fact)
        else:
            why = "the application is not known" if app is None else "no webhook of the application wants it"
            self._tracing.note("dropped", f"app {app_id}: {name} of {of}: {why}", fact)

    @harmless
    def _note_job(self, stage: str, job: Job, text: str) -> None:
        about = f"request {job.id} to webhook {job.endpoint_id}, of {some(job.channels)},"
        self._tracing.note(stage, f"app {job.app_id}: {about} {text}", _fact(job.app_id, job.channels))


def _fact(app_id: str, orders: Sequence[str], users: tuple[str, ...] = (), event: str = "") -> Fact:
    sockets = tuple(order.removeprefix(_SOCKET) for order in orders if order.startswith(_SOCKET))
    return Fact(app_id, tuple(orders), sockets, users, event)


def _last_error(job: Job) -> str:
    return job.errors[-1].partition(" ")[2] if job.errors else "no reason is known"
