"""Sections about what stands in front of the server, and whose word is taken for where a client comes from.

Values only; nothing here looks at a connection.
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Any

from pydantic import BeforeValidator

from engine.config.base import Flag, Section, listed

_FORM = "an address, a network such as 10.0.0.0/8, or unix"


def _network(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"is not text; {_FORM}")
    word = value.strip()
    if word == "unix":
        return word
    try:
        return str(ipaddress.ip_network(word))
    except ValueError:
        pass
    try:
        wider = ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise ValueError(f"is not valid; {_FORM}") from None
    raise ValueError(f"names an address and a network at once; {wider}, or {word.partition('/')[0]}")


#: `unix` is whoever connects through the Unix socket.
NetworkList = Annotated[tuple[Annotated[str, BeforeValidator(_network)], ...], listed(split=True)]


class ProxyProtocolConfig(Section):
    """The PROXY protocol on the main port, versions 1 and 2.

    :param trusted: who has to send its header, and is believed; null is `trusted_proxies`. Nobody else may.
    """

    enabled: Flag = False
    trusted: NetworkList | None = None
