"""Signatures of HTTP API requests: the query as it was signed, and the checks of H-3 to H-8.

Pure: the clock is a parameter. Never logs; every refusal is an ApiError 401.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import unquote, unquote_plus

from engine.app import App
from engine.errors import ApiError

#: How far a request's timestamp may be from the server's clock, either way (H-6).
TIMESTAMP_WINDOW_S = 600

_OTHER_KEY = "The back end signs with the key of another application."
_OTHER_SECRET = "The back end signs with another secret, or a proxy has changed the path or the query."
_CLOCKS = "The clocks of the back end and of this machine differ too much."

# A refusal quotes the text that should have been signed, as hosted Pusher does; no more of it than this.
_QUOTED = 2000

_ARRAY = re.compile(r"(.*?)\[[0-9]*\]\Z", re.DOTALL)
_TIMESTAMP = re.compile(r"[0-9]{1,15}\Z")


class Query:
    """The decoded parameters of a request, keys in lower case.

    :param raw: the part of the request target after `?`, as sent.
    """

    __slots__ = ("_pairs", "_values")

    def __init__(self, raw: str) -> None:
        self._pairs: list[tuple[str, str]] = []
        for part in raw.split("&") if raw else ():
            key, _, value = part.partition("=")
            if "%" in part or "+" in part:
                key, value = unquote_plus(key), unquote_plus(value)
            if key:
                self._pairs.append((key.lower(), value))
        self._values = dict(reversed(self._pairs))

    def get(self, name: str) -> str | None:
        """A parameter's (first) value; an array's (`name[]`, `name[0]`) values joined by commas."""
        found = self._values.get(name)
        if found is None:
            joined = [value for key, value in self._pairs if _base(key) == name]
            return ",".join(joined) if joined else None
        return found

    def signed_forms(self) -> Iterator[str]:
        """The query as it may have been signed (H-4): arrays joined by commas (H-5) or, if there are any, as sent."""
        pairs = sorted((pair for pair in self._pairs if pair[0] != "auth_signature"), key=_key)
        if any("[" in key for key, _ in pairs):
            joined: dict[str, list[str]] = {}
            for key, value in sorted(((_base(key), value) for key, value in pairs), key=_key):
                joined.setdefault(key, []).append(value)
            yield "&".join(f"{key}={','.join(values)}" for key, values in joined.items())
        yield "&".join([f"{key}={value}" for key, value in pairs])


def verify_request(app: App, method: str, path: str, prefix: str, query: Query, body: bytes, now_s: float) -> None:
    """Check everything that signs a request. Raises ApiError 401 (H-32 to H-36). Parameters as with `verify_head`."""
    verify_head(app, method, path, prefix, query, now_s)
    given = query.get("body_md5")
    if given is None and not body:
        return
    if given != hashlib.md5(body, usedforsecurity=False).hexdigest():
        raise refused("body_md5 is missing or is not the MD5 of the body")


def verify_head(app: App, method: str, path: str, prefix: str, query: Query, now_s: float) -> None:
    """Check all that can be checked before the body has come. Raises ApiError 401 (H-32 to H-35).

    :param path: as sent, without the query. It may have been signed decoded, and without `prefix` (H-5).
    :param prefix: the server's path prefix, "" for none.
    :param now_s: seconds since the epoch.
    """
    key, version = query.get("auth_key"), query.get("auth_version")
    timestamp, signature = query.get("auth_timestamp"), query.get("auth_signature")
    if key is None or version is None or timestamp is None or signature is None:
        raise refused("auth_key, auth_timestamp, auth_version and auth_signature are required in the query")
    if key != app.key:
        raise refused("Unknown auth_key", remedy=_OTHER_KEY)
    if version != "1.0":
        raise refused("Unknown auth_version; only 1.0 is known")
    if _TIMESTAMP.match(timestamp) is None or abs(int(timestamp) - now_s) > TIMESTAMP_WINDOW_S:
        raise refused(
            f"Timestamp expired: the given auth_timestamp is not within {TIMESTAMP_WINDOW_S} s of the server's clock",
            remedy=_CLOCKS,
        )
    if not _signed(app, method, path, prefix, query, signature):
        text = f"{method}\n{path}\n{next(query.signed_forms())}".replace("\n", "\\n")[:_QUOTED]
        raise refused(
            f'Invalid signature: you should have sent HmacSHA256Hex("{text}", your_secret_key), '
            f'but you sent "{signature[:64]}"',
            remedy=_OTHER_SECRET,
        )


def refused(message: str, *, remedy: str = "") -> ApiError:
    """The answer to a request that is not signed as it must be (H-34)."""
    return ApiError(HTTPStatus.UNAUTHORIZED, "auth_failed", message, remedy=remedy)


def _signed(app: App, method: str, path: str, prefix: str, query: Query, signature: str) -> bool:
    forms = list(query.signed_forms())
    for candidate in _paths(path, prefix):
        for form in forms:
            if app.signed(f"{method}\n{candidate}\n{form}".encode(), signature):
                return True
    return False


def _paths(path: str, prefix: str) -> Iterator[str]:
    """The path as sent and decoded, each also without the prefix."""
    for spelling in (path, unquote(path)) if "%" in path else (path,):
        yield spelling
        if prefix and spelling.startswith(prefix):
            yield spelling[len(prefix) :]


def _base(key: str) -> str:
    found = _ARRAY.match(key) if key.endswith("]") else None
    return found[1] if found is not None else key


def _key(pair: tuple[str, str]) -> str:
    return pair[0]
