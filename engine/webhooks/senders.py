"""The senders that the configured webhooks need, by kind of target. Called by `parts.py` and the command line."""

from __future__ import annotations

from collections.abc import Sequence

from engine.apps.app import App
from engine.interfaces import WebhookSender
from engine.webhooks.http_sender import HttpSender


def build_senders(apps: Sequence[App], *, allow_private_targets: bool) -> dict[str, WebhookSender]:
    """``http``, and ``lambda`` where some webhook names a function: what it imports costs every worker 45 MiB."""
    senders: dict[str, WebhookSender] = {"http": HttpSender(allow_private_targets=allow_private_targets)}
    if any(endpoint.function is not None for app in apps for endpoint in app.endpoints):
        from engine.webhooks.lambda_sender import LambdaSender

        senders["lambda"] = LambdaSender()
    return senders
