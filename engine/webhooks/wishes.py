"""What webhooks want of a channel's occupancy and members, as the occupancy store is told with every report."""

from __future__ import annotations

from engine.interfaces import AppManager
from engine.webhooks.filter import MEMBER_EVENTS, OCCUPANCY_EVENTS, wants


class WebhookWishes:
    """interfaces.Wanted, from the apps as they are now.

    :param settle_ms: `webhooks.settle_ms`.
    """

    def __init__(self, apps: AppManager, settle_ms: int) -> None:
        self._apps = apps
        self._settle_ms = settle_ms

    def __call__(self, app_id: str, channel: str) -> tuple[bool, bool, int]:
        app = self._apps.by_id(app_id)
        if app is None or not app.endpoints:
            return False, False, self._settle_ms
        return wants(app, OCCUPANCY_EVENTS, channel), wants(app, MEMBER_EVENTS, channel), self._settle_ms
