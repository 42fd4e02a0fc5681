"""Addresses of callers, for limits, logs and webhooks: one spelling for each, and the networks that hold them.

Pure. Never decides whose word is taken for an address; `forwarded.py` and the listener do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

#: In a list of networks: whoever connects through a Unix socket, which has no address.
UNIX = "unix"
#: Addresses of which is remembered whether they are held.
MAX_KNOWN = 10_000


def canonical(text: str) -> str | None:
    """The usual spelling of an address, IPv4 within IPv6 as IPv4 and without a zone; None when it is none."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def of_peer(peername: object) -> str:
    """The address in what a socket calls its peer; "" on a Unix socket."""
    if not isinstance(peername, tuple) or not peername:
        return ""
    address = str(peername[0])
    # IPv4 has one spelling only.
    return canonical(address) or address if ":" in address else address


class Networks:
    """:param networks: addresses, networks (``10.0.0.0/8``) and `UNIX`, all of them valid."""

    def __init__(self, networks: Iterable[str]) -> None:
        listed = tuple(networks)
        self._unix = UNIX in listed
        self._networks = [ipaddress.ip_network(network) for network in listed if network != UNIX]
        self._known: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def hold(self, address: str) -> bool:
        """:param address: in its usual spelling; "" is a Unix socket's."""
        if not address:
            return self._unix
        if not self._networks:
            return False
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[address] = self._look(address)
        return known

    def _look(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)
