"""Other servers' spellings of options outside applications and Redis Clusters, rewritten to ours before anything is
checked. Errors keep naming the key that the user wrote.
"""

from __future__ import annotations

from engine.config.base import to_flag
from engine.config.loading.default_app import APPS
from engine.config.loading.document import Document, get, objects, put
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path

#: Switches of `webhooks` that only Sockudo's documentation knows -> where they are.
SWITCHES: dict[str, Path] = {
    "batching_enabled": ("webhooks", "batching", "enabled"),
    "max_batch_size": ("webhooks", "batching", "size"),
    "flush_interval_ms": ("webhooks", "batching", "duration"),
    "timeout_ms": ("webhooks", "request_timeout_ms"),
}
_REDIS: Path = ("database", "redis")


def normalize(document: Document, mistakes: Mistakes) -> None:
    """Rename and move what has another place or word here."""
    _webhook_switches(document, mistakes)
    _redis_host(document, mistakes)
    _any_origin(get(document, ("cors",)), "origin")
    for _, app in objects(document, APPS):
        _any_origin(app, "allowed_origins")


def _webhook_switches(document: Document, mistakes: Mistakes) -> None:
    section = get(document, ("webhooks",))
    if not isinstance(section, dict):
        return
    for theirs, ours in SWITCHES.items():
        if theirs not in section:
            continue
        value = section.pop(theirs)
        name = f"webhooks.{theirs}"
        if get(document, ours) is not None:
            mistakes.add(ours, f"is given twice, also as {name}")
        elif put(document, ours, value):
            mistakes.written[ours] = name
    if "enabled" in section:
        value = section.pop("enabled")
        if to_flag(value) is not True:
            # Sockudo's code does not know this one and sends.
            mistakes.add(("webhooks", "enabled"), "cannot be set; take the webhooks out of the applications", value)


def _redis_host(document: Document, mistakes: Mistakes) -> None:
    """`rediss://name` as a host says that TLS is used."""
    host = get(document, (*_REDIS, "host"))
    if not isinstance(host, str):
        return
    scheme, separator, name = host.partition("://")
    if not separator or scheme not in ("redis", "rediss") or not name or "/" in name or "@" in name:
        return
    put(document, (*_REDIS, "host"), name)
    if scheme == "rediss":
        put(document, (*_REDIS, "tls"), True)
        mistakes.written[*_REDIS, "tls"] = mistakes.name((*_REDIS, "host"))


def _any_origin(section: object, key: str) -> None:
    """`Any` is Sockudo's other word for `*`."""
    given = section.get(key) if isinstance(section, dict) else None
    if isinstance(section, dict) and isinstance(given, list):
        section[key] = ["*" if origin in ("Any", "any") else origin for origin in given]
