"""Which web pages may connect: the app's list of allowed origins (C-33).

Called by ws/ once for each connection to an app that has such a list. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence


def origin_allowed(allowed: Sequence[str], origin: str | None) -> bool:
    """Whether a connection from this origin is accepted; everything is when the list is empty.

    Patterns: ``https://a.example`` (this scheme), ``a.example`` or ``localhost:3000`` (any scheme, exact port),
    ``*.example`` (sub-domains at any depth and the domain itself), ``https://*.example``, ``*``. Case is ignored.

    :param origin: the request's Origin header; without one only ``*`` lets it pass.
    """
    if not allowed or "*" in allowed:
        return True
    if not origin:
        return False
    scheme, host = _split(origin)
    return any(_matches(pattern, scheme, host) for pattern in allowed)


def _matches(pattern: str, scheme: str, host: str) -> bool:
    wanted_scheme, wanted_host = _split(pattern)
    if wanted_scheme and wanted_scheme != scheme:
        return False
    if wanted_host.startswith("*."):
        return host == wanted_host[2:] or host.endswith(wanted_host[1:])
    return host == wanted_host


def _split(origin: str) -> tuple[str, str]:
    """(scheme, host and port), lower case; the scheme is "" where none is given."""
    scheme, separator, host = origin.strip().lower().partition("://")
    return (scheme, host.rstrip("/")) if separator else ("", scheme.rstrip("/"))
