"""Whatever stands in the file or the environment: it loads, or ConfigError tells why, a line for each mistake."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.apps.build import build_apps
from engine.config.loading import default_app, environment
from engine.config.loading.unsupported import IGNORED, MOVED, REFUSED
from engine.config.root import Config
from engine.errors import ConfigError
from tests.config.support import APP, HOOK, loaded

SECRET = "s3cret-hunter2"

NAMES = [*environment.VARIABLES, *default_app.VARIABLES]
OPTIONS = sorted({*environment.VARIABLES.values(), *IGNORED, *REFUSED, *MOVED, *Config.model_fields})
APP_KEYS = ["id", "key", "maxConnections", "max_connections", "policy", "webhooks", "allowed_origins", "enabled", "x"]
HOOK_KEYS = ["url", "lambda", "lambda_function", "event_types", "filter", "headers", "retry", "request_timeout_ms"]
WORDS = [
    "",
    "redis",
    "local",
    "memory",
    "${X}",
    "${X:-1}",
    "yes",
    "-1",
    "http://[",
    "redis://[::1",
    "a@b:c@d",
    "(",
    "\x00",
]

texts = st.sampled_from(WORDS) | st.text(max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2), max_leaves=4
)
hook_changes = st.dictionaries(st.sampled_from(HOOK_KEYS), values, max_size=3)
app_changes = st.dictionaries(st.sampled_from(APP_KEYS), values, max_size=3)
changes = st.dictionaries(st.sampled_from(OPTIONS), values, max_size=4)
environments = st.dictionaries(st.sampled_from([*NAMES, "X"]), texts, max_size=4)


@settings(deadline=None, max_examples=300)
@given(changes, app_changes, hook_changes, environments, st.integers(1, 3))
def test_it_loads_or_tells_why(
    options: dict[str, Any], app: dict[str, Any], hook: dict[str, Any], environ: dict[str, str], workers: int
) -> None:
    entry = APP | {"secret": SECRET, "webhooks": [HOOK | {"headers": {"A": SECRET}} | hook]} | app
    document: dict[str, Any] = {"app_manager": {"array": {"apps": [entry]}}}
    for option, value in options.items():
        _put(document, option.replace("[]", ".0").split("."), value)
    try:
        found = loaded(document, environ, workers)
    except ConfigError as error:
        lines = str(error).split("\n")
        assert all(": " in line for line in lines)
        assert SECRET not in str(error)
    else:
        for built in build_apps(found.config):
            assert all(endpoint.target.key and endpoint.target.label for endpoint in built.endpoints)
        assert found.resolved.adapter == "redis" or workers == 1
        assert SECRET not in repr((found, build_apps(found.config)))


def _put(document: Any, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        if isinstance(document, list):
            document = document[0] if document else {}
        elif isinstance(document, dict):
            document = document.setdefault(part, {})
    if isinstance(document, dict):
        document[parts[-1]] = value
