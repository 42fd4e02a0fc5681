"""Applications of the shared engines beside apps 1 and 2: one for each set of switches that some test file needs.

Data only: `conftest.py` starts the engines, and test files name the keys they use. Ids are the keys.
"""

from __future__ import annotations

from typing import Any

from tests.support.engine import APP

NEW_SECRET, OLD_SECRET = "new-secret", "old-secret"


def _app(key: str, **changes: Any) -> dict[str, Any]:
    return APP | {"id": key, "key": key} | changes


def _talkative(terminate: bool) -> dict[str, Any]:
    return {"enabled": True, "max_attempts": 5, "decay_seconds": 60, "terminate_on_limit": terminate}


def further_apps(hooks_url: str) -> list[dict[str, Any]]:
    """:param hooks_url: of the webhook endpoint; each of them that has webhooks has a path of its own there."""

    def hook(path: str, *event_types: str) -> dict[str, Any]:
        return {"webhooks": [{"url": f"{hooks_url}/{path}", "event_types": [*event_types]}]}

    occupancy = ("channel_occupied", "channel_vacated")
    return [
        # Refused, or held to a limit.
        _app("few-channels", max_channels_per_connection=3),
        _app("tls", tls_only=True),
        _app("few-messages", message_rate_limit=_talkative(False)),
        _app("cut-off", message_rate_limit=_talkative(True)),
        _app("off", enabled=False),
        _app("origin", allowed_origins=["https://a.example", "*.b.example"]),
        # Counts its subscriptions; and one that does not, though its webhook asks for it.
        _app("counting", enable_subscription_count=True, **hook("counting", *occupancy, "subscription_count")),
        _app("uncounted", **hook("uncounted", *occupancy, "subscription_count")),
        _app("watches-nobody", enable_watchlist_events=False),
        _app("rotating", secret=NEW_SECRET, previous_secret=OLD_SECRET, **hook("rotating", "channel_occupied")),
    ]
