"""Signing with the prepared key schedule, beside the standard library's one-shot function."""

from __future__ import annotations

import hmac
from typing import Any

import pytest

from engine._fast.signature import Signer

SECRET = "7ad3773142a6692b25b8"
#: What is signed for a private subscription, and for a publish.
TEXTS = {
    "subscribe": b"1234567890.9876543210:private-bench-0",
    "publish": b"POST\n/apps/app-id/events\nauth_key=app-key&auth_timestamp=1700000000&auth_version=1.0&body_md5="
    + b"0" * 32,
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def bench_signer_verify(benchmark: Any, text: bytes) -> None:
    signer = Signer(SECRET)
    given = hmac.digest(SECRET.encode(), text, "sha256").hex()
    assert benchmark(signer.verify, text, given)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def bench_hmac_digest(benchmark: Any, text: bytes) -> None:
    """`hmac.digest` and the comparison that go with it."""
    key = SECRET.encode()
    given = hmac.digest(key, text, "sha256").hex()

    def verify() -> bool:
        return hmac.compare_digest(hmac.digest(key, text, "sha256").hex(), given)

    assert benchmark(verify)
