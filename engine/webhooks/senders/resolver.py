"""Looking up a webhook's host without holding up another's, and refusing addresses that are not public.

The check looks at the address that is connected to, so a name that changes its mind between a check and the connection
gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

#: Look-ups at one time. A name server that does not answer holds one of them, for each host name that it keeps waiting.
THREADS = 32

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class PrivateTarget(OSError):
    """The address is not public; the text says which."""


class BoundedResolver(AbstractResolver):
    """`getaddrinfo` in threads of its own: those of the event loop are few and shared with everything else.

    :param public_only: fail for a host that has any address which is not public.
    """

    def __init__(self, *, public_only: bool) -> None:
        self._public_only = public_only
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            self._threads, socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, 0, socket.AI_ADDRCONFIG
        )
        results = [
            ResolveResult(
                hostname=host, host=str(address[0]), port=port, family=kind, proto=protocol, flags=socket.AI_NUMERICHOST
            )
            for kind, _, protocol, _, address in found
        ]
        if self._public_only:
            for result in results:
                refuse_private(result["host"])
        return results

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def refuse_private(host: str) -> None:
    """Raises PrivateTarget when `host` is an IP address that is not public; names pass."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return
    if not all(inner.is_global and not inner.is_multicast for inner in _unwrapped(address)):
        raise PrivateTarget(f"{address} is not public, and webhooks.allow_private_targets is off")


def public_socket(address: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """A socket for the address that is connected to next, however it was found. Raises PrivateTarget."""
    family, kind, protocol, _, where = address
    refuse_private(str(where[0]))
    return socket.socket(family, kind, protocol)


def refusal(error: BaseException | None) -> PrivateTarget | None:
    """The refusal that an HTTP client's error comes from, if it does."""
    while error is not None:
        for found in (error, getattr(error, "os_error", None)):
            if isinstance(found, PrivateTarget):
                return found
        error = error.__cause__ or error.__context__
    return None


def _unwrapped(address: _Address) -> list[_Address]:
    """The address and every IPv4 address that it leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    found: list[_Address] = [v4 for v4 in inner if v4 is not None]
    # A mapped address is nothing but the IPv4 address in it.
    return found if address.ipv4_mapped is not None else [address, *found]


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
