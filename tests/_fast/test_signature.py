import hashlib
import hmac
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._fast.signature import Signer, implementation


@given(st.binary(max_size=200), st.binary(max_size=5000))
def test_agrees_with_the_standard_library(secret: bytes, message: bytes) -> None:
    assert Signer(secret).hex(message) == hmac.new(secret, message, hashlib.sha256).hexdigest()


def test_one_signer_signs_again_and_again() -> None:
    signer = Signer("7ad3773142a6692b25b8")
    for _ in range(3):
        assert (
            signer.hex(b"1234.1234:private-foobar")
            == "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
        )


def test_text_secrets_are_utf8() -> None:
    assert Signer("pässwörd").hex(b"x") == Signer("pässwörd".encode()).hex(b"x")


@pytest.mark.parametrize("as_bytes", [False, True])
def test_verify_takes_the_right_signature_only(as_bytes: bool) -> None:
    signer = Signer("secret")
    good = signer.hex(b"message")
    candidates = [
        good,
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.upper(),
        good[:-1],
        good + "0",
        "",
        "é" * 64,
    ]
    verdicts = [signer.verify(b"message", c.encode() if as_bytes else c) for c in candidates]
    assert verdicts == [True] + [False] * 6


def test_a_signer_is_never_serialized() -> None:
    with pytest.raises(TypeError, match="serialized"):
        pickle.dumps(Signer("secret"))


def test_openssl_is_used_where_python_has_it() -> None:
    pytest.importorskip("_hashlib")
    assert implementation() == "openssl"
