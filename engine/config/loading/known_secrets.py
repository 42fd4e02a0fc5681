"""Secrets that everybody knows, and to whom a server with one of them may listen.

A stranger who knows a secret can publish, read presence and close users' connections. Such a server listens to its own
machine only, unless the configuration names another address; then it is a warning. Never shows a secret.
"""

from __future__ import annotations

import ipaddress

from engine.config.base import to_flag
from engine.config.loading.default_app import APPS
from engine.config.loading.document import Document, get, objects, put
from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path
from engine.config.root import Config

#: Of sample files, tutorials and documentation: ours, Sockudo's, soketi's, Reverb's and Pusher's.
KNOWN = frozenset(
    {
        "7ad3773142a6692b25b8",
        "app-secret",
        "app_secret",
        "changeme",
        "demo-secret",
        "reverb-secret",
        "secret",
        "test-secret",
        "your-app-secret",
        "your-pusher-secret",
        "your-secret",
    }
)
EVERYBODY, THIS_MACHINE = "0.0.0.0", "127.0.0.1"
MAKE_ONE = 'make one with: python3 -c "import secrets; print(secrets.token_hex(20))"'


def settle_hosts(document: Document, mistakes: Mistakes) -> str | None:
    """Fill in `host` and `metrics.host` where nothing is said; the warning to give, if any."""
    known = [str(app.get("id")) for _, app in objects(document, APPS) if str(app.get("secret")) in KNOWN]
    open_apps = f"application {', '.join(known)} has a secret that everybody knows"
    said = get(document, ("host",)) is not None
    if not said:
        document["host"] = THIS_MACHINE if known else EVERYBODY
    metrics: Path = ("metrics", "host")
    if get(document, metrics) is None and put(document, metrics, document["host"]):
        mistakes.copies.add(metrics)
    if not known:
        return None
    api: Path = ("http_api", "host")
    if get(document, api) is not None and not is_loopback(get(document, api)):
        return f"{open_apps}, and http_api.host lets all that reach {get(document, api)} use it; {MAKE_ONE}"
    if to_flag(get(document, ("unix_socket", "enabled"))) and get(document, ("http_api", "port")) is None:
        return None
    if not said:
        return f"{open_apps}: listening on {THIS_MACHINE} only, unless host says otherwise; {MAKE_ONE}"
    if is_loopback(document["host"]):
        return None
    return f"{open_apps}, and host lets all that reach {document['host']} use it; {MAKE_ONE}"


def exposes(config: Config, host: str) -> bool:
    """Whether strangers would reach applications of this configuration at a host that it does not name, but where the
    server listens already."""
    known = any(app.secret in KNOWN for app in config.app_manager.array.apps)
    return known and config.host != host and is_loopback(config.host) and not is_loopback(host)


def is_loopback(host: object) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False
