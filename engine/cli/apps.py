"""`python -m engine apps`: which applications the configuration holds.

Starts nothing, and never shows a secret.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.app import App
from engine.cli.target import describe
from engine.cli.text import say
from engine.log.escapes import one_line

_HEAD = ("ID", "KEY", "SECRET", "ENABLED", "CLIENT EVENTS", "CONNECTIONS", "WEBHOOKS")


def show_apps(apps: Sequence[App]) -> int:
    """Print one line for each application and one for each of its webhooks; returns the exit status."""
    rows = [_HEAD, *(_row(app) for app in apps)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    say(_joined(_HEAD, widths))
    for app, row in zip(apps, rows[1:], strict=True):
        say(_joined(row, widths))
        for endpoint in app.endpoints:
            # The id is what metrics and queues call it.
            say(f"    {endpoint.id}  {describe(endpoint)}: {', '.join(sorted(endpoint.event_types))}")
    return 0


def _row(app: App) -> tuple[str, ...]:
    limit = str(app.max_connections) if app.max_connections else "unlimited"
    switches = ("yes" if on else "no" for on in (app.enabled, app.client_messages))
    return (one_line(app.id), one_line(app.key), "********", *switches, limit, str(len(app.endpoints)))


def _joined(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
