"""Who a request comes from, by what proxies say in X-Forwarded-For, X-Forwarded-Proto and Forwarded (RFC 7239).

Only proxies that are trusted are believed, and of a header only what they have appended. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from engine.protocol.address import Networks, canonical

#: Proxies that a request may have come through; what is further to the left is not looked at.
MAX_HOPS = 100

_SECURE = ("https", "wss")
#: One parameter of RFC 7239, 4: a token, and a token or a quoted string.
_PAIR = re.compile(r"""([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)|"((?:[^"\\]|\\.)*)")""")
_ESCAPED = re.compile(r"\\(.)")
_BETWEEN = re.compile(r"[ \t]*([;,])[ \t]*")
#: An address with a port, and an IPv6 address in brackets with or without one (RFC 7239, 6).
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::.*)?\Z|([0-9.]+):[^:]*\Z")


class Headers(Protocol):
    """Those of a request; names are found in any case."""

    def getall(self, name: str, default: tuple[str, ...]) -> Sequence[str]: ...


class Hop(NamedTuple):
    """What one proxy says of whoever it got the request from. :ivar secure: by TLS; None is not said."""

    address: str | None
    secure: bool | None


class Callers:
    """:param trusted: proxies that are believed.
    :param hops: instead of `trusted`: so many entries of X-Forwarded-For are believed, whoever sends them.
    :param any_proto: without `trusted`: X-Forwarded-Proto is believed, whoever sends it.
    :param on_conflict: called when a trusted proxy sent both headers and they do not agree; neither is believed then,
        as one of the two must be the client's own.
    """

    def __init__(
        self,
        trusted: Networks,
        hops: int = 0,
        *,
        any_proto: bool = False,
        on_conflict: Callable[[], None] | None = None,
    ) -> None:
        self._trusted = trusted
        self._hops = 0 if trusted else hops
        self._any_proto = any_proto and not trusted
        self._on_conflict = on_conflict

    def address(self, peer: str, headers: Headers) -> str:
        """The client's address; "" when there is none to tell callers apart by.

        :param peer: who the connection comes from; "" on a Unix socket.
        """
        if self._hops:
            return self._counted(peer, headers)
        if not self._trusted or not self._trusted.hold(peer):
            return peer
        found = {self._client(hops).address for hops in _roads(headers) if hops is not None}
        if len(found) > 1:
            if self._on_conflict is not None:
                self._on_conflict()
            return peer
        return found.pop() or peer if found else peer

    def secure(self, peer: str, headers: Headers) -> bool:
        """Whether a proxy says that the client speaks TLS to it; of several headers all must say so."""
        if not self._any_proto and not self._trusted.hold(peer):
            return False
        schemes = ",".join(headers.getall("X-Forwarded-Proto", ()))
        # The last entry is that of the nearest proxy.
        said = [schemes.rpartition(",")[2].strip().lower() in _SECURE] if schemes else []
        if not self._any_proto:
            hops = forwarded(headers.getall("Forwarded", ()))
            if hops:
                said.append(self._client(hops).secure is True)
        return bool(said) and all(said)

    def _counted(self, peer: str, headers: Headers) -> str:
        hops = _forwarded_for(headers.getall("X-Forwarded-For", ()))
        claimed = hops[-self._hops].address if len(hops) >= self._hops else None
        return claimed or peer

    def _client(self, hops: Sequence[Hop]) -> Hop:
        """The first one from the right that is no proxy of ours; the furthest proxy, where nobody else is named."""
        found = Hop(None, None)
        for hop in reversed(hops[-MAX_HOPS:]):
            if hop.address is None:
                return found if found.address is not None else hop
            found = hop
            if not self._trusted.hold(hop.address):
                break
        return found


def forwarded(values: Sequence[str]) -> list[Hop]:
    """The hops that the header `Forwarded` names, the nearest last; none when it is malformed."""
    text = ",".join(values).strip(" \t")
    hops: list[Hop] = []
    pairs: dict[str, str] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        if pair is None or pair[1].lower() in pairs:
            return []
        pairs[pair[1].lower()] = pair[2] if pair[3] is None else _ESCAPED.sub(r"\1", pair[3])
        at = pair.end()
        between = _BETWEEN.match(text, at)
        if between is None and at < len(text):
            return []
        if between is None or between[1] == ",":
            proto = pairs.get("proto")
            hops.append(Hop(_without_port(pairs.get("for", "")), None if proto is None else proto.lower() in _SECURE))
            pairs = {}
        at = len(text) if between is None else between.end()
    return [] if pairs else hops


def _roads(headers: Headers) -> tuple[list[Hop] | None, list[Hop] | None]:
    """What each of the two headers says; None where it is not there."""
    plain, standard = headers.getall("X-Forwarded-For", ()), headers.getall("Forwarded", ())
    return _forwarded_for(plain) if plain else None, forwarded(standard) if standard else None


def _forwarded_for(values: Sequence[str]) -> list[Hop]:
    return [Hop(_without_port(entry.strip()), None) for entry in ",".join(values).split(",")[-MAX_HOPS:]]


def _without_port(node: str) -> str | None:
    """The address of a node; None for `unknown`, made-up names (RFC 7239, 6.3) and nonsense."""
    found = _WITH_PORT.match(node)
    return canonical(found[1] or found[2] or "" if found else node)
