"""Other servers' spellings of an application's entry, rewritten to ours before anything is checked (K-3, W-22).

Checks no value. Errors keep naming the key that the user wrote.
"""

from __future__ import annotations

from engine.config.apps import POLICY_GROUPS, AppConfig
from engine.config.loading.default_app import APPS
from engine.config.loading.document import Document, objects
from engine.config.loading.mistakes import Mistakes
from engine.config.loading.unsupported import IGNORED
from engine.config.option_path import Path, snake_case

#: soketi's names in a webhook's filter.
FILTER = {"channel_name_starts_with": "channel_prefix", "channel_name_ends_with": "channel_suffix"}
#: What an entry may say here, and what the table of other servers' options knows of it.
_KNOWN = frozenset(AppConfig.model_fields) | {
    option.rpartition(".")[2] for option in IGNORED if option.startswith("app_manager.array.apps[].")
} - {"policy"}


def normalize(document: Document, mistakes: Mistakes) -> None:
    """Rename and move what has another place here, in every application and every webhook."""
    for path, app in objects(document, APPS):
        _flatten_policy(app, path, mistakes)
        for key in list(app):
            ours = snake_case(key)
            if key != ours and ours in AppConfig.model_fields:
                _move(app, key, app, ours, path, mistakes)
        for webhook_path, webhook in objects(app, ("webhooks",)):
            found = webhook.get("filter")
            if isinstance(found, dict):
                for theirs, ours in FILTER.items():
                    if theirs in found:
                        _move(found, theirs, found, ours, (*path, *webhook_path, "filter"), mistakes)


def _flatten_policy(app: Document, path: Path, mistakes: Mistakes) -> None:
    """`policy.limits.max_connections` is `max_connections` (sockudo 5); what nobody knows stays in `policy`."""
    policy = app.get("policy")
    if not isinstance(policy, dict):
        return
    for part in POLICY_GROUPS:
        group = policy.get(part)
        if isinstance(group, dict):
            _lift(group, app, path, f"policy.{part}", mistakes)
            if not group:
                del policy[part]
    _lift(policy, app, path, "policy", mistakes)
    if not policy:
        del app["policy"]


def _lift(group: Document, app: Document, path: Path, written: str, mistakes: Mistakes) -> None:
    for key in list(group):
        if key in _KNOWN:
            _move(group, key, app, key, path, mistakes, f"{written}.{key}")


def _move(
    source: Document, theirs: str, target: Document, ours: str, path: Path, mistakes: Mistakes, written: str = ""
) -> None:
    """:param path: of `target`. :param written: how the user wrote the key, seen from there."""
    value = source.pop(theirs)
    name = f"{mistakes.name(path)}.{written or theirs}"
    if ours in target:
        mistakes.add((*path, ours), f"is given twice, also as {written or theirs}")
        return
    target[ours] = value
    mistakes.written[(*path, ours)] = name
