"""The certificate that a server shows, as it is handed to workers."""

from __future__ import annotations

import datetime
import pickle
from pathlib import Path

import pytest
import trustme

from engine.config.certificate import Certificate
from engine.config.server import SslConfig
from engine.errors import ConfigError
from tests.config.support import loaded

END = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


def _pair(folder: Path, end: datetime.datetime | None = None) -> SslConfig:
    """A chain of two and its key."""
    begin = None if end is None else end - datetime.timedelta(days=30)
    issued = trustme.CA().create_child_ca().issue_cert("a.example", not_before=begin, not_after=end)
    cert, key = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return SslConfig(enabled=True, cert_path=str(cert), key_path=str(key))


def test_it_outlives_its_files(tmp_path: Path) -> None:
    config = _pair(tmp_path)
    found = Certificate.read(config)
    assert found is not None
    for path in (config.cert_path, config.key_path):
        Path(path).unlink()
    assert pickle.loads(pickle.dumps(found)) == found
    assert found.context().get_ciphers()
    assert "PRIVATE" not in repr(found)
    with pytest.raises(ConfigError, match=r"^ssl\.cert_path: cannot be read"):
        Certificate.read(config)
    assert Certificate.read(SslConfig()) is None


def test_until_when_it_is_valid(tmp_path: Path) -> None:
    found = Certificate.read(_pair(tmp_path, END))
    assert found is not None and found.expires_at() == END.timestamp()


def test_one_that_has_expired_is_warned_of(tmp_path: Path) -> None:
    config = _pair(tmp_path, END)
    section = {"enabled": True, "cert_path": config.cert_path, "key_path": config.key_path}
    (warning,) = loaded({"ssl": section}).warnings
    assert warning == "ssl.cert_path: the certificate expired on 2020-01-01; clients refuse it"
