"""How many connections one address may hold on this worker, so that one machine cannot take all of its memory.

Counts only; who is refused, and how, is decided in `ws/accept.py`. How often an address may come is `AddressLimit`'s.
"""

from __future__ import annotations

import ipaddress

#: For addresses of the Internet, unless configured. An office or a mobile network behind one address holds hundreds of
#: people, rarely thousands; so many idle connections take 18 MiB.
AUTOMATIC_PER_ADDRESS = 10_000
#: Addresses whose kind is remembered.
MAX_KNOWN = 10_000


class AddressQuota:
    """:param limit: connections of one address; 0 is no limit. None is `AUTOMATIC_PER_ADDRESS` for addresses of the
    Internet and no limit for all others: those are reverse proxies, containers' gateways, and tests."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._held: dict[str, int] = {}
        self._known: dict[str, int] = {}

    @property
    def counts(self) -> bool:
        """Whether there is anything to count."""
        return self._limit != 0

    def full(self, address: str) -> bool:
        """Whether it may hold no more. "" is no address, and holds any number."""
        limit = self._limit_of(address)
        return limit != 0 and self._held.get(address, 0) >= limit

    def enter(self, address: str) -> None:
        self._held[address] = self._held.get(address, 0) + 1

    def leave(self, address: str) -> None:
        left = self._held.get(address, 0) - 1
        if left > 0:
            self._held[address] = left
        else:
            self._held.pop(address, None)

    def _limit_of(self, address: str) -> int:
        if not address or self._limit is not None:
            return self._limit if address and self._limit is not None else 0
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            known = self._known[address] = AUTOMATIC_PER_ADDRESS if _is_global(address) else 0
        return known


def _is_global(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global
