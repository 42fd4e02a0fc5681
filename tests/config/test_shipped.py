"""The config.json of the repository: every option with its default, and usable as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config.loading.load import load
from tests.config.support import apps, loaded

SHIPPED = Path(__file__).resolve().parents[2] / "config.json"


@pytest.mark.parametrize("workers", [1, 2])
def test_the_shipped_file_works_as_it_is(workers: int) -> None:
    found = load(SHIPPED, {}, workers)
    (warning,) = found.warnings
    assert "listening on 127.0.0.1 only" in warning and "secrets.token_hex" in warning and "app-secret" not in warning
    assert (found.config.host, found.config.metrics.host) == ("127.0.0.1", "127.0.0.1")
    (app,) = found.config.app_manager.array.apps
    assert (app.id, app.key, app.secret, app.webhooks) == ("app-id", "app-key", "app-secret", ())
    assert found.resolved.redis_embedded == (workers > 1)


def test_the_shipped_file_names_every_option_with_its_default() -> None:
    document = json.loads(SHIPPED.read_text())
    (entry,) = document["app_manager"]["array"]["apps"]
    app_defaults = {"id": "app-id", "key": "app-key", "secret": "app-secret", "enable_client_messages": True}
    found = load(SHIPPED, {}, 1).config
    expected = loaded(apps(app_defaults)).config
    assert found == expected
    assert _keys(document) == _keys(expected.model_dump(mode="json", by_alias=True))
    assert list(entry) == list(expected.app_manager.array.apps[0].model_dump())


def _keys(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return set().union(*(_keys(item, f"{path}.{key}") for key, item in value.items()))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return set().union(*(_keys(item, f"{path}[]") for item in value))
    return {path}
