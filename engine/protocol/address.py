"""The address of a caller behind reverse proxies, for limits of one address.

Pure. Never believes more entries than there are trusted proxies.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence


def caller_address(peer: str | None, forwarded_for: Sequence[str], trust_hops: int) -> str:
    """The address that `trust_hops` proxies in front have seen; the peer's own with 0.

    :param peer: who the connection comes from; None or "" on a unix socket.
    :param forwarded_for: values of X-Forwarded-For, as sent. Only what trusted proxies have appended is believed.
    :return: "" when there is none to distinguish callers by.
    """
    if not trust_hops:
        return peer or ""
    hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
    claimed = hops[-trust_hops] if len(hops) >= trust_hops else ""
    try:
        return str(ipaddress.ip_address(claimed))
    except ValueError:
        return peer or ""
