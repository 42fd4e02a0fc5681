"""Which web pages may connect: the app's list of allowed origins (C-33).

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import idna


def origin_allowed(allowed: Sequence[str], origin: str | None) -> bool:
    """Whether a connection from this origin is accepted; everything is when the list is empty.

    Patterns: ``https://a.example`` (this scheme), ``a.example`` or ``localhost:3000`` (any scheme, exact port),
    ``*.example`` (sub-domains at any depth and the domain itself), ``https://*.example``, ``*``; and origins without a
    host as they are sent: ``null`` (sandboxed frames, pages from files), ``file://`` (Cordova, Electron). Case is
    ignored, and hosts in Unicode match what browsers send for them (UTS 46).

    :param origin: the request's Origin header; without one only ``*`` lets it pass.
    """
    if not allowed or "*" in allowed:
        return True
    if not origin:
        return False
    scheme, host = _split(origin)
    return any(_matches(pattern, scheme, host) for pattern in allowed)


def _matches(pattern: str, scheme: str, host: str) -> bool:
    wanted_scheme, wanted_host = _split_pattern(pattern)
    if wanted_scheme and wanted_scheme != scheme:
        return False
    if pattern.strip().lower() == "null":
        return not scheme and host == "null"  # that is no host
    if wanted_host.startswith("*."):
        return host == wanted_host[2:] or host.endswith(wanted_host[1:])
    return host == wanted_host


def _split(origin: str) -> tuple[str, str]:
    """(scheme, host and port), lower case; the scheme is "" where none is given."""
    scheme, separator, host = origin.strip().lower().partition("://")
    return (scheme, host.rstrip("/")) if separator else ("", scheme.rstrip("/"))


@lru_cache(maxsize=4096)
def _split_pattern(pattern: str) -> tuple[str, str]:
    """The same with the host as browsers write it. They are few and asked for at each connection."""
    scheme, host = _split(pattern)
    if host.isascii():
        return scheme, host
    start = "*." if host.startswith("*.") else ""
    name, separator, port = host[len(start) :].partition(":")
    try:
        name = idna.encode(name, uts46=True).decode()
    except idna.IDNAError:
        pass  # no name that a browser could be at; it matches itself
    return scheme, f"{start}{name}{separator}{port}"
