"""Sections about the server's own sockets, its HTTP API and what it shows the operator.

Values only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from engine.config.base import Flag, Host, Limit, OptionalText, Port, Section, listed, number, text, whole, word

#: Nobody guesses one of so many characters at the rate that is allowed.
MIN_PASSWORD = 12


def _password(value: object) -> object:
    if isinstance(value, str) and 0 < len(value) < MIN_PASSWORD:
        raise ValueError(f"is too short; allowed: {MIN_PASSWORD} characters or more, or null for no console")
    if value is not None and not isinstance(value, str):
        raise ValueError(f"is not text; allowed: {MIN_PASSWORD} characters or more, or null for no console")
    return value


Texts = Annotated[tuple[str, ...], listed(split=True)]
FileMode = Annotated[str, text(r"[0-7]{3,4}", "3 or 4 octal digits", numbers=True)]


class WebSocketConfig(Section):
    """:param max_backpressure: outgoing bytes that may wait for one socket; past it the client is cut off with 4100
    (D-10, D-11).
    :param max_frames_per_second: of one connection; what it sends beyond waits for the next second. 0 is no limit.
    :param max_connections_per_address: on one worker; over it a client is sent away with 4100. 0 is no limit, null is
        a generous one for addresses of the Internet and none for others, which are proxies as a rule.
    :param memory_threshold: fraction of the container's or the machine's memory in use from which new connections are
        refused with 4100; 1 is never.
    :param max_connection_age: seconds after which a connection, or up to a fifth sooner, is sent to a new life with
        4200, so that nodes even out by themselves. 0 is never.
    """

    max_backpressure: Annotated[int, whole(4096, 2**31 - 1)] = 1024 * 1024
    max_frames_per_second: Limit = 1000
    max_connections_per_address: Limit | None = None
    max_connection_age: Limit = 0
    memory_threshold: Annotated[float, number(0, 1)] = 1


class SslConfig(Section):
    """TLS on the main port. The certificate file holds the whole chain, the leaf first (PEM).

    :param cert_path: :param key_path: PEM files. :param passphrase: of the key, if it is encrypted.
    :param trust_forwarded_proto: a proxy in front ends TLS; its X-Forwarded-Proto says whether a client uses it.
        Only needed without `trusted_proxies`, and then believed of whoever sends it.
    """

    enabled: Flag = False
    cert_path: str = ""
    key_path: str = ""
    passphrase: OptionalText = Field(default=None, repr=False)
    trust_forwarded_proto: Flag = False


class UnixSocketConfig(Section):
    """A socket in the file system instead of the main port, for a proxy on the same machine.

    :param permission_mode: the file mode of the socket.
    """

    enabled: Flag = False
    path: str = "/var/run/sockudo/sockudo.sock"
    permission_mode: FileMode = "660"


class AcceptTrafficConfig(Section):
    """:param memory_threshold: fraction of the machine's memory in use from which /accept-traffic answers no (H-59)."""

    memory_threshold: Annotated[float, number(0, 1)] = 0.9


class HttpApiConfig(Section):
    """:param host: of a port of its own; null is `host`.
    :param port: of its own: back ends ask there, and the main port speaks WebSocket and answers health checks only.
        null is the main port; 0 takes a free one and prints it.
    :param unix_socket: path of a Unix socket, instead of a port of its own or beside it; null is none.
    :param unix_socket_mode: its file mode.
    :param tls: whether a port of its own speaks TLS; null is as the main port does. The Unix socket never does.
    :param request_limit_in_mb: largest request body (413 above). :param usage_enabled: whether /usage is served.
    :param request_head_limit_in_kb: largest head of a request, a WebSocket's too (431 above): request line and headers.
    :param without_prefix: with a `path_prefix`, the API is served without it too; libraries that have no option for a
        path need that.
    """

    host: Host | None = None
    port: Port | None = None
    unix_socket: OptionalText = None
    unix_socket_mode: FileMode = "660"
    tls: Flag | None = None
    request_limit_in_mb: Annotated[float, number(0, 1024)] = 10.0
    request_head_limit_in_kb: Annotated[float, number(0, 1024)] = 16.0
    without_prefix: Flag = True
    accept_traffic: AcceptTrafficConfig = Field(default_factory=AcceptTrafficConfig)
    usage_enabled: Flag = True

    @property
    def elsewhere(self) -> bool:
        """Whether it has an address of its own."""
        return self.port is not None or self.unix_socket is not None

    @property
    def request_limit_bytes(self) -> int:
        return int(self.request_limit_in_mb * 1024 * 1024)

    @property
    def request_head_limit_bytes(self) -> int:
        return int(self.request_head_limit_in_kb * 1024)


class IdempotencyConfig(Section):
    """A publish that is sent twice with one `idempotency_key` is published once.

    :param ttl_seconds: how long the answer to a publish is given again to the same key (H-56).
    :param max_key_length: characters."""

    enabled: Flag = True
    ttl_seconds: Annotated[int, whole(1, 86_400)] = 120
    max_key_length: Annotated[int, whole(1, 1024)] = 128


class CorsConfig(Section):
    """Cross-origin headers of the HTTP API (H-53). An origin is text such as `https://a.example`,
    `*.example` or `*`, read as an application's `allowed_origins` (C-33)."""

    credentials: Flag = True
    origin: Texts = ("*",)
    methods: Texts = ("GET", "POST", "OPTIONS")
    allowed_headers: Texts = ("Authorization", "Content-Type", "X-Requested-With", "Accept")


class PrometheusConfig(Section):
    """:param prefix: put in front of every metric's name (M-1)."""

    prefix: Annotated[str, text(r"(?:[a-zA-Z_:][a-zA-Z0-9_:]*)?", "letters, digits, _ and :, no digit first")] = (
        "sockudo_"
    )


class MetricsConfig(Section):
    """The supervisor's metrics page, `GET /metrics` on a port of its own, with `/live` and `/ready` of the node.

    :param host: left out, the same as of the main port. :param port: 0 takes a free one and prints it.
    """

    enabled: Flag = True
    driver: Annotated[Literal["prometheus"], word("prometheus")] = "prometheus"
    host: Host = "0.0.0.0"
    port: Port = 9601
    prometheus: PrometheusConfig = Field(default_factory=PrometheusConfig)


class ConsoleConfig(Section):
    """The operator's page (docs/console.md), which is there once it has a password.

    :param port: 0 takes a free one and prints it. :param password: at least 12 characters; null is no console.
    """

    host: Host = "127.0.0.1"
    port: Port = 9602
    password: Annotated[OptionalText, BeforeValidator(_password)] = Field(default=None, repr=False)


class LoggingConfig(Section):
    """:param colors_enabled: colour the level when the log goes to a terminal.
    :param include_target: name the part of the engine that wrote the line.
    :param output_format: `human` lines or one JSON object a line.
    """

    colors_enabled: Flag = True
    include_target: Flag = True
    output_format: Annotated[Literal["human", "json"], word("human", "json")] = "human"


def _path_prefix(value: object) -> object:
    """`chat/`, `/chat` and `/chat/` mean the same; the root is ""."""
    if not isinstance(value, str):
        raise ValueError("is not text; a path such as /realtime, or / for none")
    trimmed = value.strip("/")
    if any(character in "?#% \t\r\n{}" for character in trimmed):
        raise ValueError("is not valid; a path such as /realtime, or / for none")
    return f"/{trimmed}" if trimmed else ""


#: Prefix of every route, without a slash at its end; "" for none.
PathPrefix = Annotated[str, BeforeValidator(_path_prefix)]
