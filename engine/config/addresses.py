"""The addresses of the server as URLs: the one that its banner shows is the one that its commands use.

Only puts text together: nothing is resolved or connected to.
"""

from __future__ import annotations

from engine.config.root import Config

#: Connections that may wait in a listening socket; the supervisor opens it, and each worker listens on it anew.
BACKLOG = 4096
#: Addresses that mean "every address of this machine", and how to reach the machine itself instead.
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}


def server_url(config: Config, port: int) -> str:
    """Where a client on this machine reaches the engine: ``http://host:port/prefix`` without a slash at its end."""
    scheme = "https" if config.ssl.enabled else "http"
    return f"{scheme}://{authority(_ANY.get(config.host, config.host), port)}{config.path_prefix}"


def api_url(config: Config, port: int) -> str:
    """The same for a back end, where the HTTP API has a port of its own."""
    api = config.http_api
    scheme = "https" if api.tls or (api.tls is None and config.ssl.enabled) else "http"
    host = api.host or config.host
    return f"{scheme}://{authority(_ANY.get(host, host), port)}{config.path_prefix}"


def metrics_url(config: Config) -> str:
    """Where the metrics are, by the host that the configuration names."""
    return f"http://{authority(config.metrics.host, config.metrics.port)}/metrics"


def console_url(config: Config, port: int) -> str:
    """Where the operator finds the console on this machine."""
    return f"http://{authority(_ANY.get(config.console.host, config.console.host), port)}/"


def authority(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def command_address(config: Config) -> str:
    """Where the supervisor listens to its operator: a name in the abstract name space of Unix sockets."""
    if config.unix_socket.enabled:
        return f"\0engine/{config.unix_socket.path}"[:100]
    return f"\0engine/{config.host}/{config.port}"
