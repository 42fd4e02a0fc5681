"""How to reach the Redis (or Valkey) that every part shares: one server, what Sentinel says is it, or a cluster.

`engine/redis/pubsub/link.py` and `engine/redis/pool.py` make connections of it. It never connects to anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BeforeValidator, PlainSerializer, PlainValidator

_FORMS = "forms: redis://[user:password@]host[:port][/db], rediss://... for TLS, unix:///path/to/socket[?db=n]"
_NODE_FORMS = (
    'forms: "host:port", {"host": ..., "port": ...}, redis://[user:password@]host[:port], rediss://... for TLS'
)
_SENTINEL_FORMS = 'forms: "host:port", {"host": ..., "port": ...}'
SENTINEL_PORT = 26379
#: In a cluster, the hash tag of everything that scripts change together. It puts all of that into one slot, and so onto
#: one shard. No prefix may hold braces, so whatever holds one is of a cluster.
TAG = "{0}:"


#: Option of a URL's query -> the values that change nothing; None for any.
_PLAIN_QUERY: dict[str, tuple[str, ...] | None] = {"db": None, "protocol": ("2", "3")}
_TLS_QUERY: dict[str, tuple[str, ...] | None] = {
    "ssl_cert_reqs": ("required",),
    "ssl_check_hostname": ("true", "1", "yes", "on"),
    "ssl_ca_certs": None,
    "ssl_certfile": None,
    "ssl_keyfile": None,
}


class UrlOptionError(ValueError):
    """The second half of a sentence about a URL, as those of `base.py`."""


class Node(NamedTuple):
    """Where one server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """One Redis server. With `path` it is reached over that Unix socket and host, port and TLS mean nothing.

    :param nodes: some nodes of a cluster, which know the others; then host and port mean nothing.
    :param sentinels: who knows where the server called `name` is; then host and port mean nothing.
    :param tls_ca_path: certificates (PEM) to trust instead of the system's. :param tls_cert_path: our own, with its
        key, for a server that asks for one.
    """

    host: str = "127.0.0.1"
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    tls_ca_path: str | None = None
    tls_cert_path: str | None = None
    tls_key_path: str | None = None
    path: str | None = None
    nodes: tuple[Node, ...] = ()
    sentinels: tuple[Node, ...] = ()
    sentinel_password: str | None = field(default=None, repr=False)
    name: str = "mymaster"

    @property
    def address(self) -> str:
        """For log lines: never a password."""
        if self.nodes:
            return f"the Redis Cluster of {', '.join(map(str, self.nodes))}"
        if self.sentinels:
            return f'"{self.name}" of the Sentinels {", ".join(map(str, self.sentinels))}'
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    def beside_occupancy(self, prefix: str) -> str:
        """The prefix of names that must be where occupancy's keys are."""
        return prefix + TAG if self.nodes else prefix

    @classmethod
    def parse(cls, url: str) -> RedisOptions:
        """Read a redis://, rediss:// or unix:// URL; ValueError when it is none.

        Raises UrlOptionError for a query option that is not understood, or that this engine does not do.
        """
        parts = urlsplit(url)
        username = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if parts.scheme == "unix":
            if not parts.path:
                raise ValueError("the socket's path is missing")
            db = _query(parts.query, _PLAIN_QUERY).get("db", "0")
            return cls(db=_database(db), username=username, password=password, path=unquote(parts.path))
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError("not a Redis URL")
        tls = parts.scheme == "rediss"
        query = _query(parts.query, _PLAIN_QUERY | (_TLS_QUERY if tls else {}))
        return cls(
            host=parts.hostname,
            port=6379 if parts.port is None else parts.port,
            db=_database(parts.path.strip("/") or query.get("db", "0")),
            username=username,
            password=password,
            tls=tls,
            tls_ca_path=query.get("ssl_ca_certs") or None,
            tls_cert_path=query.get("ssl_certfile") or None,
            tls_key_path=query.get("ssl_keyfile") or None,
        )


def _query(query: str, known: dict[str, tuple[str, ...] | None]) -> dict[str, str]:
    """The options of a URL's query by the names that client libraries have for them."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise UrlOptionError(f'has the option "{name}", which is not known here; known: {", ".join(known)}')
        allowed = known[name]
        if allowed is not None and value.lower() not in allowed:
            raise UrlOptionError(
                f"has {name}={value}; allowed: {', '.join(allowed)}. Certificates are always verified: name those to "
                "trust in database.redis.tls_ca_path"
                if name in _TLS_QUERY
                else f"has {name}={value}; allowed: {', '.join(allowed)}"
            )
        found[name] = value
    return found


def _database(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ValueError("the database is not a number")
    return int(text)


def _url(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is not text; {_FORMS}")
    try:
        RedisOptions.parse(value)
    except UrlOptionError:
        raise
    except ValueError:
        raise ValueError(f"is not a Redis URL; {_FORMS}") from None
    return value


RedisUrl = Annotated[str, BeforeValidator(_url)]


def _node(value: Any) -> RedisOptions:
    """A cluster's node. Of its URL, TLS and credentials count for all of them."""
    if isinstance(value, str) and "://" in value:
        try:
            options = RedisOptions.parse(value)
        except UrlOptionError:
            raise
        except ValueError:
            raise ValueError(f"is not a node of a cluster; {_NODE_FORMS}") from None
        if options.path is None and options.db == 0:
            return options
        raise ValueError(f"is not a node of a cluster, which has no socket and no database but 0; {_NODE_FORMS}")
    node = _place(value, 6379)
    if node is None:
        raise ValueError(f"is not a node of a cluster; {_NODE_FORMS}")
    return RedisOptions(*node)


def _sentinel(value: Any) -> Node:
    node = _place(value, SENTINEL_PORT)
    if node is None:
        raise ValueError(f"is not the place of a Sentinel; {_SENTINEL_FORMS}")
    return node


def _place(value: Any, default_port: int) -> Node | None:
    if isinstance(value, dict) and set(value) <= {"host", "port"}:
        host, port = value.get("host"), value.get("port", default_port)
        if not isinstance(host, str) or not isinstance(port, int | str) or isinstance(port, bool):
            return None
        value = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not isinstance(value, str) or any(char in value for char in "/@?# "):
        return None
    try:
        parts = urlsplit(f"//{value}")
        port = default_port if parts.port is None else parts.port
    except ValueError:
        return None
    return Node(parts.hostname, port) if parts.hostname and port else None


ClusterNode = Annotated[RedisOptions, PlainValidator(_node), PlainSerializer(lambda options: options.address)]
SentinelPlace = Annotated[Node, PlainValidator(_sentinel), PlainSerializer(str)]
