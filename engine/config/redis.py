"""How to reach the Redis (or Valkey) that every part shares, and the URL form of the same.

Built by `resolve.py` from the configuration, and by the supervisor for the embedded server; turned into connections by
`engine/redis/client.py`. It never connects to anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BeforeValidator

_FORMS = "forms: redis://[user:password@]host[:port][/db], rediss://... for TLS, unix:///path/to/socket[?db=n]"


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """One Redis server. With `path` it is reached over that Unix socket and host, port and TLS mean nothing."""

    host: str = "127.0.0.1"
    port: int = 6379
    db: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    path: str | None = None

    @property
    def address(self) -> str:
        """For log lines: never a password."""
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}/{self.db}"

    @classmethod
    def parse(cls, url: str) -> RedisOptions:
        """Read a redis://, rediss:// or unix:// URL; ValueError when it is none."""
        parts = urlsplit(url)
        username = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        if parts.scheme == "unix":
            if not parts.path:
                raise ValueError("the socket's path is missing")
            db = parse_qs(parts.query).get("db", ["0"])[0]
            return cls(db=_database(db), username=username, password=password, path=unquote(parts.path))
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise ValueError("not a Redis URL")
        return cls(
            host=parts.hostname,
            port=6379 if parts.port is None else parts.port,
            db=_database(parts.path.strip("/") or parse_qs(parts.query).get("db", ["0"])[0]),
            username=username,
            password=password,
            tls=parts.scheme == "rediss",
        )


def _database(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 9:
        raise ValueError("the database is not a number")
    return int(text)


def _url(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is not text; {_FORMS}")
    try:
        RedisOptions.parse(value)
    except ValueError:
        raise ValueError(f"is not a Redis URL; {_FORMS}") from None
    return value


RedisUrl = Annotated[str, BeforeValidator(_url)]
