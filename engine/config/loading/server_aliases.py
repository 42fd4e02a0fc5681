"""Other servers' spellings of options outside applications and Redis Clusters, rewritten to ours before anything is
checked.

Checks no value. Errors keep naming the key that the user wrote.
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


#: Of `database.redis.master_tls` -> of `database.redis`.
MASTER_TLS = {
    "enabled": "tls",
    "ca_path": "tls_ca_path",
    "client_cert_path": "tls_cert_path",
    "client_key_path": "tls_key_path",
}


def normalize(document: Document, mistakes: Mistakes) -> None:
    """Rename and move what has another place or word here."""
    _webhook_switches(document, mistakes)
    _redis_host(document, mistakes)
    _master_tls(document, mistakes)
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


def _master_tls(document: Document, mistakes: Mistakes) -> None:
    """Sockudo's TLS to the master that Sentinels name; its own to the Sentinels is the same here."""
    redis = get(document, _REDIS)
    section = redis.get("master_tls") if isinstance(redis, dict) else None
    if not isinstance(redis, dict) or not isinstance(section, dict):
        return
    del redis["master_tls"]
    for theirs, value in section.items():
        ours, name = MASTER_TLS.get(theirs), f"database.redis.master_tls.{theirs}"
        if ours is None:
            if theirs not in ("accept_invalid_certs", "acceptInvalidCerts") or to_flag(value) is not False:
                why = "is not done, certificates are always verified; name those to trust in database.redis.tls_ca_path"
                mistakes.add((*_REDIS, "master_tls", theirs), why)
        elif ours in redis:
            mistakes.add((*_REDIS, ours), f"is given twice, also as {name}")
        elif value not in (None, ""):
            redis[ours] = value
            mistakes.written[*_REDIS, ours] = name


def _any_origin(section: object, key: str) -> None:
    """`Any` is Sockudo's other word for `*`."""
    given = section.get(key) if isinstance(section, dict) else None
    if isinstance(section, dict) and isinstance(given, list):
        section[key] = ["*" if origin in ("Any", "any") else origin for origin in given]
