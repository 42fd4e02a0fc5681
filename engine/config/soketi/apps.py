"""The applications of a soketi configuration, with their webhooks, in this engine's words.

Pure: no value is checked here.
"""

from __future__ import annotations

import json
from typing import Any

from engine.config.apps import AppConfig, soketi_option
from engine.config.event_types import EVENT_TYPES
from engine.config.loading.aliases import FILTER
from engine.config.loading.document import Document, put

#: What soketi has when nothing is configured (K-7).
DEFAULT_APP = {"id": "app-id", "key": "app-key", "secret": "app-secret"}
#: Limits of which -1 is none and 0 allows nothing there; 0 is no limit here.
_LIMITS = (
    "max_connections",
    "max_client_events_per_second",
    "max_backend_events_per_second",
    "max_read_requests_per_second",
)


def convert_apps(manager: Any, ours: Document, notes: list[str]) -> None:
    """:param manager: soketi's `appManager`. Its apps go into `ours`; what has no counterpart, into `notes`."""
    manager = manager if isinstance(manager, dict) else {}
    driver = manager.get("driver", "array")
    if driver != "array":
        notes.append(
            f'appManager.driver: "{driver}": is not converted; list the applications in app_manager.array.apps'
        )
    array = manager.get("array")
    entries = array.get("apps") if isinstance(array, dict) else None
    entries = _parsed(entries) if entries is not None else [DEFAULT_APP]
    apps = [_app(entry, f"appManager.array.apps[{index}]", notes) for index, entry in enumerate(entries)]
    put(ours, ("app_manager",), {"driver": "memory", "array": {"apps": apps}})


def _app(entry: Any, path: str, notes: list[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    app: Document = {}
    for key, value in entry.items():
        option = soketi_option(key)
        if option == "webhooks":
            app[option] = [_webhook(hook, f"{path}.{key}[{n}]", notes) for n, hook in enumerate(_parsed(value) or [])]
        elif option not in AppConfig.model_fields:
            notes.append(f"{path}.{key}: has no counterpart")
        elif value is not None:
            app[option] = value
    for limit in _LIMITS:
        if limit in app:
            _limit(app, limit, path, notes)
    return app


def _limit(app: Document, limit: str, path: str, notes: list[str]) -> None:
    if str(app[limit]) == "-1":
        app[limit] = 0
    elif str(app[limit]) == "0":
        if limit == "max_client_events_per_second":
            app["enable_client_messages"] = False
        else:
            notes.append(f"{path}, {limit}: 0 allows nothing there and is no limit here; disable the app instead")


def _webhook(entry: Any, path: str, notes: list[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    hook: Document = {}
    for key, value in entry.items():
        match key:
            case "event_types":
                hook[key] = [name for name in value if name in EVENT_TYPES]
                notes += [f'{path}.event_types: "{name}" is never sent' for name in value if name not in EVENT_TYPES]
            case "filter":
                hook[key] = {FILTER.get(name, name): wanted for name, wanted in (value or {}).items()}
            case "lambda" if isinstance(value, dict):
                hook[key] = _function(value, f"{path}.lambda", notes)
            case "url" | "lambda_function" | "headers":
                hook[key] = value
            case _:
                notes.append(f"{path}.{key}: has no counterpart")
    if hook.get("url") and ("lambda_function" in hook or "lambda" in hook):
        notes.append(f"{path}: has a url and a function; only the url is called, as soketi does it")
        hook.pop("lambda_function", None)
        hook.pop("lambda", None)
    return hook


def _function(value: Document, path: str, notes: list[str]) -> Document:
    function: Document = {key: value[key] for key in ("function_name", "region") if key in value}
    # soketi waits for the function's answer unless configured not to.
    function["invocation_type"] = "Event" if value.get("async") else "RequestResponse"
    options = value.get("client_options")
    options = dict(options) if isinstance(options, dict) else {}
    if "endpoint" in options:
        function["endpoint_url"] = options.pop("endpoint")
    notes += [f"{path}.client_options.{name}: comes from the usual AWS environment here" for name in options]
    return function


def _parsed(value: Any) -> Any:
    """Environment variables hold lists as JSON text."""
    return json.loads(value) if isinstance(value, str) else value
