"""The application that environment variables describe (K-6), and the one there is when nothing else is (K-7).

Limits that are not set are the engine's own, not the small ones of their origin.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.config.loading.document import Document, get, put
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path

APPS: Path = ("app_manager", "array", "apps")
_PREFIX = "SOCKUDO_DEFAULT_APP_"
_IDENTITY = ("ID", "KEY", "SECRET")
_OPTIONS = (
    "enabled",
    "max_connections",
    "max_client_events_per_second",
    "max_read_requests_per_second",
    "max_backend_events_per_second",
    "max_presence_members_per_channel",
    "max_presence_member_size_in_kb",
    "max_channel_name_length",
    "max_event_channels_at_once",
    "max_event_name_length",
    "max_event_payload_in_kb",
    "max_event_batch_size",
    "enable_user_authentication",
    "enable_watchlist_events",
    "enable_subscription_count",
    "allowed_origins",
    "enable_client_messages",
)
#: Variable -> key of the entry; the older name of one comes first, so that the newer one wins.
VARIABLES: dict[str, str] = {
    "SOCKUDO_ENABLE_CLIENT_MESSAGES": "enable_client_messages",
    **{_PREFIX + part: part.lower() for part in _IDENTITY},
    **{_PREFIX + option.upper(): option for option in _OPTIONS},
}


def apply(document: Document, environ: Mapping[str, str], mistakes: Mistakes) -> None:
    """Add the described application; where the file has one with its id, change that one."""
    given = {name: environ[name] for name in VARIABLES if environ.get(name)}
    if not given:
        return
    missing = [_PREFIX + part for part in _IDENTITY if _PREFIX + part not in given]
    if missing:
        mistakes.add(
            (next(iter(given)),),
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set; the default application needs"
            f" all three of {', '.join(_PREFIX + part for part in _IDENTITY)}",
        )
        return
    apps = get(document, APPS)
    if apps is None:
        apps = []
        put(document, APPS, apps)
    if not isinstance(apps, list):
        return
    wanted = given[_PREFIX + "ID"]
    index = next((i for i, app in enumerate(apps) if isinstance(app, dict) and str(app.get("id")) == wanted), len(apps))
    if index == len(apps):
        apps.append({})
    for name, value in given.items():
        apps[index][VARIABLES[name]] = value
        mistakes.written[(*APPS, index, VARIABLES[name])] = f"environment variable {name}"


def unknown(environ: Mapping[str, str]) -> str | None:
    """The warning about variables that look like the application's and are not, if there are any."""
    names = sorted(name for name in environ if name.startswith(_PREFIX) and name not in VARIABLES)
    return f"passed over, no such option of the default application is known: {', '.join(names)}" if names else None


def fall_back(document: Document) -> str | None:
    """With no application at all, put in the one that tutorials know; the warning to give, if so."""
    if get(document, ("app_manager", "driver")) not in (None, "memory", "array"):
        return None
    if get(document, APPS) not in (None, []):
        return None
    if not put(document, APPS, [{"id": "app-id", "key": "app-key", "secret": "app-secret"}]):
        return None
    return 'no application is configured: using id "app-id" with key "app-key" and its well-known secret'
