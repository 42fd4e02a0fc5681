"""The tracing of a worker, put together: its taps, and what each trace begins with. Nothing is decided here."""

from __future__ import annotations

from engine.worker import trace_taps
from engine.worker.trace_state import describe
from engine.worker.trace_taps import Followed
from engine.worker.trace_webhooks import WebhookTaps
from engine.worker.tracing import Taps, Tracing


def build_tracing(worker: int, followed: Followed) -> Tracing:
    """:param worker: its number in the node, as the log shows it."""

    def place(taps: Taps, tracing: Tracing) -> None:
        trace_taps.place(followed, taps, tracing)
        WebhookTaps(followed, tracing).place(taps)

    return Tracing(worker, place, lambda follow: describe(followed, follow))
