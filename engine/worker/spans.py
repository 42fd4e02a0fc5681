"""Spans of OpenTelemetry: of publishes, of what goes between workers, and of attempts to deliver webhooks.

Stands in front of the parts, as a trace's taps do, from the start on; where nobody asks for spans nothing of it is
there. It changes nothing but what is said of a span: headers, queue entries, and marks behind events.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from opentelemetry import trace
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode

from engine._fast import json_text
from engine._fast.connection import Connection
from engine._fast.hub import Channel
from engine._fast.sampler import Sampler
from engine.app import App, Endpoint
from engine.config.event_types import CLIENT_EVENT
from engine.errors import StoreUnavailable
from engine.http.request import ApiResponse, app_of, path_of
from engine.interfaces import Job, Message, WebhookSender
from engine.protocol.messages import ClientMessage
from engine.publisher import Publication
from engine.spans import context
from engine.webhooks.event import WebhookEvent
from engine.webhooks.filter import may_want
from engine.worker.trace_taps import PUBLISHES
from engine.worker.tracing import Taps, harmless

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from engine.spans.export import Export
    from engine.worker.trace_taps import Followed

APP, CHANNEL, EVENT, CHANNELS = "engine.app", "engine.channel", "engine.event", "engine.channels"
_CLIENT_EVENT = frozenset({CLIENT_EVENT})


class Spans:
    """A part with a life of its own, as `worker/parts.py` has them.

    :param sampler: of what there is to be a span that no other one is above.
    :param worker: its number in the node.
    """

    def __init__(self, parts: Followed, sampler: Sampler, export: Export, worker: int) -> None:
        self._parts = parts
        self._sampler = sampler
        self._export = export
        self._worker = worker
        self._taps = Taps()
        self._tracer: Tracer = trace.NoOpTracer()
        sampler.note = self._note_published
        if parts.publishes is not None:
            parts.publishes.sample(sampler)
        if parts.handlers.plain is not None:
            # What an endpoint is told of has a span of its own, below which the webhook's are.
            parts.handlers.plain.report = None

    async def start(self) -> None:
        self._tracer = self._export.start()
        parts = self._parts
        self._taps.place(parts.api, "handle", self._handle)
        self._taps.place(parts.publisher, "publish", self._publish)
        self._taps.place(parts.adapter, "publish", self._send)
        self._taps.place(parts.adapter, "send", self._send_one)
        self._taps.place(parts.handlers.client_events, "accept", self._client_event)
        self._taps.place(parts.batcher, "add", self._add)
        self._taps.place(parts.attempts, "send", self._attempt)
        parts.adapter.hear_marks(self._note_delivered)

    async def stop(self) -> None:
        self._taps.remove()
        await self._export.stop()

    # --- publishes

    def _handle(self, handle: Callable[..., Awaitable[ApiResponse]]) -> Callable[..., Awaitable[ApiResponse]]:
        async def tap(
            method: str, target: bytes, body: bytes, address: str = "", key: str = "", traceparent: str = ""
        ) -> ApiResponse:
            path = path_of(target)
            caller = traceparent.encode("latin-1", "replace")
            if method != "POST" or not path.endswith(PUBLISHES) or not self._sampler.wants(caller):
                return await handle(method, target, body, address, key)
            with self._tracer.start_as_current_span(
                "publish", _under(context.read(traceparent)), SpanKind.SERVER, {APP: app_of(path)}
            ) as span:
                answer = await handle(method, target, body, address, key)
                _answered(span, answer.status)
                return answer

        return tap

    def _publish(self, publish: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def tap(app: App, publications: Sequence[Publication]) -> None:
            span = trace.get_current_span()
            if span.is_recording() and publications:
                first = publications[0]
                _name(span, first.event, [channel for each in publications for channel in each.channels])
            await publish(app, publications)

        return tap

    @harmless
    def _note_published(self, target: bytes, body: bytes, traceparent: bytes, began_ns: int, ended_ns: int) -> None:
        """C has published this. It was read there, so it can be read."""
        now_ns = time.time_ns()
        began, ended = now_ns - (time.monotonic_ns() - began_ns), now_ns - (time.monotonic_ns() - ended_ns)
        path = path_of(target)
        above = _under(context.read(traceparent.decode("latin-1")))
        app_id = app_of(path)
        span = self._tracer.start_span("publish", above, SpanKind.SERVER, {APP: app_id}, start_time=began)
        channels: list[str] = []
        event = ""
        members = json_text.members(body) or {}
        for each in json_text.items(members["batch"]) or () if "batch" in members else (body,):
            of_event = json_text.members(each) or {}
            event = event or str(orjson.loads(of_event["name"]))
            named = orjson.loads(of_event["channels"] if "channels" in of_event else of_event["channel"])
            channels += [named] if isinstance(named, str) else named
        _name(span, event, channels)
        _answered(span, 200)
        sent = self._tracer.start_span("bus", _under(span.get_span_context()), SpanKind.PRODUCER, start_time=began)
        self._mark([Message(app_id, channel, b"") for channel in channels], sent.get_span_context(), began // 1000)
        sent.end(ended)
        span.end(ended)

    # --- between workers

    def _send(self, publish: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def tap(messages: Sequence[Message]) -> None:
            if not trace.get_current_span().is_recording():
                return await publish(messages)
            with self._tracer.start_as_current_span("bus", kind=SpanKind.PRODUCER, record_exception=False) as span:
                began_us = time.time_ns() // 1000
                try:
                    await publish(messages)
                except StoreUnavailable as error:
                    span.set_status(StatusCode.ERROR, str(error))
                    raise
                self._mark(messages, span.get_span_context(), began_us)

        return tap

    def _send_one(self, send: Callable[[Message], None]) -> Callable[[Message], None]:
        def tap(message: Message) -> None:
            send(message)
            span = trace.get_current_span()
            if span.is_recording():
                self._mark([message], span.get_span_context(), time.time_ns() // 1000)

        return tap

    @harmless
    def _mark(self, messages: Sequence[Message], span: SpanContext, began_us: int) -> None:
        mark = context.pack_mark(span, began_us)
        for message in messages:
            self._parts.adapter.mark(message, mark)

    @harmless
    def _note_delivered(self, channel: Channel, mark: bytes) -> None:
        """What is in front of it has been handed to the sockets of this worker."""
        read = context.read_mark(mark)
        if read is None:
            return
        sender, began_us = read
        details: dict[str, Any] = {
            APP: channel.app_id,
            CHANNEL: channel.name,
            "engine.worker": self._worker,
            "engine.subscriptions": len(channel),
        }
        now_ns = time.time_ns()
        # By the clock of another machine it may have been sent after now.
        began_ns = min(began_us * 1000, now_ns)
        self._tracer.start_span("deliver", _under(sender), SpanKind.CONSUMER, details, start_time=began_ns).end(now_ns)

    # --- webhooks

    def _client_event(self, accept: Callable[..., None]) -> Callable[..., None]:
        def tap(connection: Connection, message: ClientMessage) -> None:
            app: App = connection.app
            wanted = message.channel is not None and may_want(app, _CLIENT_EVENT, message.channel)
            if not wanted or not self._sampler.wants(b""):
                return accept(connection, message)
            with self._tracer.start_as_current_span(
                "client event", kind=SpanKind.SERVER, record_exception=False, attributes={APP: app.id}
            ) as span:
                _name(span, message.event, [message.channel or ""])
                return accept(connection, message)

        return tap

    def _add(self, add: Callable[[App, WebhookEvent], None]) -> Callable[[App, WebhookEvent], None]:
        def tap(app: App, event: WebhookEvent) -> None:
            span = trace.get_current_span()
            if span.is_recording():
                event = event._replace(trace=context.write(span.get_span_context()))
            add(app, event)

        return tap

    def _attempt(self, send: Callable[..., Awaitable[str | None]]) -> Callable[..., Awaitable[str | None]]:
        async def tap(app: App, endpoint: Endpoint, sender: WebhookSender, job: Job) -> str | None:
            above = [found for found in map(context.read, job.traces) if found is not None]
            if not above and (job.attempt or not self._sampler.wants(b"")):
                return await send(app, endpoint, sender, job)
            details: dict[str, Any] = {APP: app.id, "engine.webhook.id": job.id, "engine.endpoint": endpoint.id}
            if not job.attempt:
                # From here on all attempts are below the time that it waited for the first.
                began_ns = min(job.time_ms * 1_000_000, time.time_ns())
                links = [Link(each) for each in above[1:]]
                queued = self._tracer.start_span(
                    "webhook queued", _under(above[0] if above else None), SpanKind.PRODUCER, details, links, began_ns
                )
                queued.end()
                above[:1] = [queued.get_span_context()]
                job.traces = tuple(map(context.write, above))
            details |= {"engine.webhook.attempt": job.attempt + 1, "engine.target": endpoint.target.label}
            with self._tracer.start_as_current_span(
                "webhook attempt", _under(above[0]), SpanKind.CLIENT, details
            ) as span:
                job.traceparent = context.write(span.get_span_context())
                reason = await send(app, endpoint, sender, job)
                if reason is not None:
                    span.set_status(StatusCode.ERROR, reason)
                return reason

        return tap


def _under(above: SpanContext | None) -> Any:
    """The SDK's context for a span below that one; one of its own for None."""
    empty = trace.set_span_in_context(trace.INVALID_SPAN)
    return empty if above is None else trace.set_span_in_context(NonRecordingSpan(above), empty)


def _name(span: Span, event: str, channels: Sequence[str]) -> None:
    span.set_attribute(EVENT, event)
    span.set_attribute(CHANNEL, channels[0])
    if len(channels) > 1:
        span.set_attribute(CHANNELS, len(channels))


def _answered(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", int(status))
    if status >= 500:
        span.set_status(StatusCode.ERROR)
