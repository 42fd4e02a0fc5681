"""Which application and which server a command talks to, from the server's own configuration.

Asks no server, and never shows a secret.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from engine.app import App, Endpoint
from engine.config.addresses import api_url, server_url
from engine.config.root import Config
from engine.errors import ConfigError
from engine.log.escapes import one_line


def choose_app(apps: Sequence[App], app_id: str | None) -> App:
    """The application with this id, or the first one. Raises ConfigError when there is none."""
    for app in apps:
        if app_id in (None, app.id):
            return app
    if not apps:
        raise ConfigError("app_manager.array.apps: there is no application to act for")
    raise ConfigError(f"--app: {app_id} is not an application; there are {', '.join(app.id for app in apps)}")


def http_url(config: Config, given: str | None) -> str:
    """``http://host:port/prefix`` without a slash at its end; `given` (``--url``) wins and may say ws for http."""
    if given is None:
        return server_url(config, config.port)
    scheme, separator, rest = given.rstrip("/").partition("://")
    if not separator or scheme not in ("http", "https", "ws", "wss") or not _is_address(given):
        raise ConfigError(
            f"--url: {given} is not an address of a server; allowed: scheme, host, port and a path prefix, as in"
            " http://127.0.0.1:6001"
        )
    return f"{scheme.replace('ws', 'http')}://{rest}"


def _is_address(given: str) -> bool:
    try:
        parts = urlsplit(given)
        return bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment)
    except ValueError:  # a port that is none, or brackets without an address
        return False


def api_target(config: Config, given: str | None) -> tuple[str, str | None]:
    """Where a back end asks: the address of the HTTP API as `http_url` has it, and the path of the Unix socket behind
    which it is; None where it has a port."""
    api = config.http_api
    if given is None and api.port is not None:
        return api_url(config, api.port), None
    if given is None and api.unix_socket is not None:
        return f"http://localhost{config.path_prefix}", api.unix_socket
    return http_url(config, given), None


def ws_url(config: Config, given: str | None) -> str:
    """The same server's ``ws://`` or ``wss://`` address."""
    return http_url(config, given).replace("http", "ws", 1)


def describe(endpoint: Endpoint) -> str:
    """Where a webhook goes, without user name, password and query, which may be secrets."""
    return one_line(endpoint.target.label)
