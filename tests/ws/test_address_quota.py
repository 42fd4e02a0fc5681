"""How many connections an address may hold, by its kind and by what is configured."""

from __future__ import annotations

import pytest

from engine.ws import address_quota
from engine.ws.address_quota import AddressQuota

PROXIES = ("127.0.0.1", "10.1.2.3", "172.18.0.1", "192.168.1.1", "100.64.0.9", "::1", "fd00::1", "fe80::1%eth0", "")
INTERNET = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8")


def filled(quota: AddressQuota, address: str, count: int) -> bool:
    for _ in range(count):
        quota.enter(address)
    return quota.full(address)


@pytest.mark.parametrize("address", INTERNET)
def test_one_machine_of_the_internet_is_limited_unless_configured(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_quota, "AUTOMATIC_PER_ADDRESS", 3)
    quota = AddressQuota(None)
    assert not filled(quota, address, 2)
    assert filled(quota, address, 1)
    assert not quota.full("1.1.1.1")
    quota.leave(address)
    assert not quota.full(address)


@pytest.mark.parametrize("address", PROXIES)
def test_a_proxy_holds_any_number_unless_configured(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_quota, "AUTOMATIC_PER_ADDRESS", 3)
    assert not filled(AddressQuota(None), address, 10)


@pytest.mark.parametrize("address", [*PROXIES[:-1], *INTERNET])
def test_what_is_configured_holds_for_all(address: str) -> None:
    assert filled(AddressQuota(2), address, 2)
    assert not filled(AddressQuota(0), address, 2)
    assert not AddressQuota(0).counts


def test_who_has_left_is_forgotten() -> None:
    quota = AddressQuota(1)
    for number in range(100):
        quota.enter(f"192.0.2.{number}")
        quota.leave(f"192.0.2.{number}")
    assert quota._held == {}
