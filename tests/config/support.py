"""Loading a configuration from a Python object, as if it stood in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from engine.config.loading.load import Loaded, load

#: What an application and a webhook need at least.
APP: dict[str, Any] = {"id": "1", "key": "k", "secret": "s3cret"}
HOOK: dict[str, Any] = {"url": "https://a.example/hook", "event_types": ["channel_occupied"]}


def loaded(
    document: Any = None,
    environ: Mapping[str, str] | None = None,
    workers: int = 1,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """:param document: the file's JSON value, with one application where it says nothing of any."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "config.json")
        path.write_text(json.dumps(with_app({} if document is None else document)))
        return load(path, environ or {}, workers, flags)


def with_app(document: Any) -> Any:
    if isinstance(document, dict) and "app_manager" not in document:
        return document | {"app_manager": {"array": {"apps": [APP]}}}
    return document


def apps(*entries: Any) -> dict[str, Any]:
    """A configuration with these applications; what an entry lacks of id, key and secret is filled in."""
    return {
        "app_manager": {"array": {"apps": [APP | entry if isinstance(entry, dict) else entry for entry in entries]}}
    }


def hooks(*entries: Any) -> dict[str, Any]:
    """A configuration whose one application has these webhooks."""
    return apps({"webhooks": list(entries)})
