"""What clients, webhooks and presence histories want of a channel's occupancy and members, as every report says to the
store. Pure: it knows no store.
"""

from __future__ import annotations

from engine.app import App
from engine.app_manager import AppManager
from engine.interfaces import Interest
from engine.protocol.channel import USER_PREFIX, channel_kind, is_server_owned
from engine.webhooks.filter import COUNT_EVENTS, MEMBER_EVENTS, OCCUPANCY_EVENTS, may_want


class InterestOfApps:
    """interfaces.InterestOf, from the apps as they are now.

    :param settle_ms: `webhooks.settle_ms`.
    """

    def __init__(self, apps: AppManager, settle_ms: int) -> None:
        self._apps = apps
        self._settle_ms = settle_ms

    def __call__(self, app_id: str, channel: str) -> Interest:
        app = self._apps.by_id(app_id)
        if app is None:
            return Interest(settle_ms=self._settle_ms)
        announced = _announced(app, channel)
        kept = bool(app.presence_history) and app.presence_retention(channel) is not None
        if not app.endpoints:
            return Interest(members_watched=kept, settle_ms=self._settle_ms, announced=announced)
        return Interest(
            may_want(app, OCCUPANCY_EVENTS, channel),
            kept or may_want(app, MEMBER_EVENTS, channel),
            self._settle_ms,
            announced,
            announced and may_want(app, COUNT_EVENTS, channel),
        )


def _announced(app: App, channel: str) -> bool:
    """Of a user its coming and going (U-14), of all others but presence their number (N-36)."""
    if is_server_owned(channel):
        return app.watchlist_events and channel.startswith(USER_PREFIX)
    return app.subscription_count and not channel_kind(channel).is_presence
