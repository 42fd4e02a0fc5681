"""The senders of webhooks, by kind of target.

One for AWS Lambda comes into being only when the first webhook names a function, which may be while the engine serves:
what it imports costs every worker 45 MiB and a good part of a second.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable

from engine.app import App, LambdaTarget
from engine.interfaces import WebhookSender
from engine.webhooks.senders.http import HttpSender


class Senders:
    """:ivar by_kind: ``http``, and ``lambda`` once it is needed."""

    def __init__(self, *, allow_private_targets: bool) -> None:
        self._allow_private_targets = allow_private_targets
        self.by_kind: dict[str, WebhookSender] = {"http": HttpSender(allow_private_targets=allow_private_targets)}

    async def start(self) -> None:
        for sender in self.by_kind.values():
            await sender.start()

    async def stop(self) -> None:
        for sender in self.by_kind.values():
            await sender.stop()

    async def prepare(self, apps: Iterable[App]) -> None:
        """To be awaited before these applications are made known: whatever their webhooks need can be sent from then
        on."""
        if "lambda" in self.by_kind:
            return
        if not any(isinstance(endpoint.target, LambdaTarget) for app in apps for endpoint in app.endpoints):
            return
        # In a thread, so that connections are served meanwhile.
        await asyncio.to_thread(importlib.import_module, "engine.webhooks.senders.aws_lambda")
        from engine.webhooks.senders.aws_lambda import LambdaSender

        sender = LambdaSender(allow_private_targets=self._allow_private_targets)
        await sender.start()
        self.by_kind["lambda"] = sender
