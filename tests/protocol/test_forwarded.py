"""Whose request it is, behind proxies."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from engine.protocol.address import Networks
from engine.protocol.forwarded import Callers, Hop, forwarded

PROXY, OTHER_PROXY, CLIENT = "10.0.0.1", "10.0.0.2", "198.51.100.7"
TRUSTED = Networks(["10.0.0.0/8", "fd00::/8", "unix"])


def headers(*pairs: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict(pairs)


def xff(*values: str) -> CIMultiDict[str]:
    return headers(*(("X-Forwarded-For", value) for value in values))


def fwd(*values: str) -> CIMultiDict[str]:
    return headers(*(("Forwarded", value) for value in values))


@pytest.mark.parametrize(
    ("peer", "sent", "address"),
    [
        (PROXY, headers(), PROXY),
        ("", headers(), ""),
        # A stranger says what he likes.
        (CLIENT, xff("192.0.2.9"), CLIENT),
        (CLIENT, fwd("for=192.0.2.9"), CLIENT),
        # Only what the proxies have appended.
        (PROXY, xff(CLIENT), CLIENT),
        ("", xff(CLIENT), CLIENT),
        ("fd00::1", xff("2001:DB8::1"), "2001:db8::1"),
        (PROXY, xff(f"192.0.2.9, {CLIENT}"), CLIENT),
        (PROXY, xff("192.0.2.9", CLIENT), CLIENT),
        (PROXY, xff(f"192.0.2.9, {CLIENT}, {OTHER_PROXY}"), CLIENT),
        (PROXY, xff(f"10.9.9.9, {OTHER_PROXY}"), "10.9.9.9"),
        (PROXY, xff(f"{CLIENT}:4711"), CLIENT),
        (PROXY, xff("[2001:db8::1]:4711"), "2001:db8::1"),
        (PROXY, xff("[2001:db8::1]"), "2001:db8::1"),
        # Where a proxy does not say, the one that it spoke for is all that is known.
        (PROXY, xff("unknown"), PROXY),
        (PROXY, xff(""), PROXY),
        (PROXY, xff(f"forged, {OTHER_PROXY}"), OTHER_PROXY),
        (PROXY, xff(f"{CLIENT}, unknown"), PROXY),
        (PROXY, fwd(f"for={CLIENT}"), CLIENT),
        (PROXY, fwd(f"for=192.0.2.9, For={CLIENT};proto=https;by={PROXY}"), CLIENT),
        (PROXY, fwd("for=192.0.2.9", f"for={CLIENT}"), CLIENT),
        (PROXY, fwd('for="[2001:db8:cafe::17]:4711"'), "2001:db8:cafe::17"),
        (PROXY, fwd(f'for="{CLIENT}:4711", for={OTHER_PROXY}'), CLIENT),
        (PROXY, fwd("for=_hidden"), PROXY),
        (PROXY, fwd(f"for={CLIENT}; for=192.0.2.9"), PROXY),
        (PROXY, fwd(f'for={CLIENT}, for="192.0.2.9'), PROXY),
        (PROXY, fwd("nonsense"), PROXY),
        (PROXY, fwd(f"for={CLIENT};"), PROXY),
        # Both: they agree, or one is the client's own.
        (PROXY, headers(("X-Forwarded-For", CLIENT), ("Forwarded", f"for={CLIENT}")), CLIENT),
        (PROXY, headers(("X-Forwarded-For", CLIENT), ("Forwarded", "for=192.0.2.9")), PROXY),
        (PROXY, headers(("X-Forwarded-For", CLIENT), ("Forwarded", "nonsense")), PROXY),
    ],
)
def test_the_client_is_the_nearest_that_is_no_proxy_of_ours(peer: str, sent: CIMultiDict[str], address: str) -> None:
    assert Callers(TRUSTED).address(peer, sent) == address


def test_headers_that_do_not_agree_are_told_of() -> None:
    seen: list[None] = []
    callers = Callers(TRUSTED, on_conflict=lambda: seen.append(None))
    both = headers(("X-Forwarded-For", CLIENT), ("Forwarded", "for=192.0.2.9"))
    callers.address(CLIENT, both)
    assert not seen
    callers.address(PROXY, both)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("peer", "sent", "hops", "address"),
    [
        (CLIENT, ["192.0.2.9"], 0, CLIENT),
        (PROXY, ["192.0.2.9"], 1, "192.0.2.9"),
        (PROXY, ["203.0.113.9, 192.0.2.9"], 1, "192.0.2.9"),
        (PROXY, ["203.0.113.9, 192.0.2.9"], 2, "203.0.113.9"),
        (PROXY, ["203.0.113.9", "192.0.2.9"], 2, "203.0.113.9"),
        (PROXY, ["forged, 203.0.113.9", "192.0.2.9"], 2, "203.0.113.9"),
        (PROXY, ["192.0.2.9"], 2, PROXY),
        (PROXY, ["forged"], 1, PROXY),
        (PROXY, [""], 1, PROXY),
        (PROXY, ["192.0.2.9"] * 99 + ["203.0.113.9"], 100, "192.0.2.9"),
        (PROXY, ["2001:DB8::1"], 1, "2001:db8::1"),
        ("", ["192.0.2.9"], 1, "192.0.2.9"),
        ("", ["x"], 1, ""),
    ],
)
def test_counted_hops(peer: str, sent: list[str], hops: int, address: str) -> None:
    assert Callers(Networks([]), hops).address(peer, xff(*sent)) == address


@pytest.mark.parametrize(
    ("peer", "sent", "secure"),
    [
        (PROXY, headers(), False),
        (PROXY, headers(("X-Forwarded-Proto", "https")), True),
        (PROXY, headers(("X-Forwarded-Proto", "http, WSS")), True),
        (PROXY, headers(("X-Forwarded-Proto", "https, http")), False),
        (CLIENT, headers(("X-Forwarded-Proto", "https")), False),
        (PROXY, fwd(f"for={CLIENT};proto=https"), True),
        (PROXY, fwd("proto=HTTPS"), True),
        (PROXY, fwd(f"for=192.0.2.9;proto=https, for={CLIENT};proto=http"), False),
        (PROXY, fwd(f"for={CLIENT};proto=https, for={OTHER_PROXY};proto=http"), True),
        (PROXY, fwd(f"for={CLIENT}"), False),
        (CLIENT, fwd(f"for={CLIENT};proto=https"), False),
        (PROXY, headers(("X-Forwarded-Proto", "https"), ("Forwarded", f"for={CLIENT};proto=https")), True),
        (PROXY, headers(("X-Forwarded-Proto", "http"), ("Forwarded", f"for={CLIENT};proto=https")), False),
    ],
)
def test_whether_the_client_speaks_tls(peer: str, sent: CIMultiDict[str], secure: bool) -> None:
    assert Callers(TRUSTED).secure(peer, sent) is secure


def test_with_no_proxies_named_anybody_may_say_that_it_does() -> None:
    callers = Callers(Networks([]), any_proto=True)
    assert callers.secure(CLIENT, headers(("X-Forwarded-Proto", "https")))
    assert not callers.secure(CLIENT, fwd("proto=https"))
    assert not Callers(TRUSTED, any_proto=True).secure(CLIENT, headers(("X-Forwarded-Proto", "https")))


@pytest.mark.parametrize(
    ("values", "hops"),
    [
        ([], []),
        # RFC 7239, section 4.
        (['for="_gazonk"'], [Hop(None, None)]),
        (['For="[2001:db8:cafe::17]:4711"'], [Hop("2001:db8:cafe::17", None)]),
        (["for=192.0.2.60;proto=http;by=203.0.113.43"], [Hop("192.0.2.60", False)]),
        (["for=192.0.2.43, for=198.51.100.17"], [Hop("192.0.2.43", None), Hop("198.51.100.17", None)]),
        (['for=192.0.2.43;host="a,b;c\\"d"', "proto=https"], [Hop("192.0.2.43", None), Hop(None, True)]),
    ],
)
def test_the_header_of_rfc_7239(values: list[str], hops: list[Hop]) -> None:
    assert forwarded(values) == hops
