"""Files of certificates and keys: what cannot be used is told before anything starts, by the option's name."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import trustme

from engine.errors import ConfigError
from tests.config.support import loaded


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    written = {
        name: folder / name for name in ("ca", "cert", "key", "other-key", "rsa-key", "locked", "nonsense", "absent")
    }
    ours, other = authority.issue_cert("a.example"), authority.issue_cert("b.example")
    authority.cert_pem.write_to_path(written["ca"])
    ours.cert_chain_pems[0].write_to_path(written["cert"])
    ours.private_key_pem.write_to_path(written["key"])
    other.private_key_pem.write_to_path(written["other-key"])
    of_another_kind = authority.issue_cert("a.example", key_type=trustme.KeyType.RSA)
    of_another_kind.private_key_pem.write_to_path(written["rsa-key"])
    subprocess.run(
        ["openssl", "ec", "-aes256", "-passout", "pass:open", "-in", written["key"], "-out", written["locked"]],
        check=True,
        capture_output=True,
    )
    written["nonsense"].write_text("nothing of that kind")
    return {name: str(path) for name, path in written.items()}


def _lines(document: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(document)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    "cert, key, passphrase, told",
    [
        ("cert", "other-key", None, 'ssl.key_path: "{other-key}" is not the key of the certificate'),
        ("cert", "rsa-key", None, 'ssl.key_path: "{rsa-key}" is not the key of the certificate'),
        ("absent", "key", None, 'ssl.cert_path: "{absent}" is not a file that can be read'),
        ("cert", "absent", None, 'ssl.key_path: "{absent}" is not a file that can be read'),
        ("nonsense", "key", None, 'ssl.cert_path: "{nonsense}" holds no certificate in PEM'),
        ("cert", "nonsense", None, 'ssl.key_path: "{nonsense}" holds no private key in PEM that can be used'),
        ("cert", "locked", None, "ssl.passphrase: is missing; the key is encrypted"),
        ("cert", "locked", "wrong", "ssl.passphrase: does not open the key"),
    ],
)
def test_a_pair_that_cannot_serve(
    files: dict[str, str], cert: str, key: str, passphrase: str | None, told: str
) -> None:
    section = {"enabled": True, "cert_path": files[cert], "key_path": files[key], "passphrase": passphrase}
    expected = told
    for name, path in files.items():
        expected = expected.replace(f"{{{name}}}", path)
    assert _lines({"ssl": section}) == [expected]
    assert loaded({"ssl": section | {"enabled": False}}).config.ssl.cert_path == files[cert], "nobody uses it"


def test_pairs_that_can(files: dict[str, str]) -> None:
    for key, passphrase in (("key", None), ("locked", "open")):
        loaded({"ssl": {"enabled": True, "cert_path": files["cert"], "key_path": files[key], "passphrase": passphrase}})


def test_what_redis_is_shown_and_trusts(files: dict[str, str]) -> None:
    def lines(**section: Any) -> list[str]:
        return _lines({"database": {"redis": section}})

    paths = {"tls_cert_path": files["cert"], "tls_key_path": files["key"], "tls_ca_path": files["ca"]}
    loaded({"database": {"redis": paths | {"url": "rediss://h"}}})
    loaded({"database": {"redis": paths | {"host": "h", "tls": True}}})
    loaded({"database": {"redis": paths | {"cluster_nodes": ["rediss://h:1"]}}})
    told = "needs database.redis.tls, or rediss:// in the address"
    assert lines(url="redis://h", tls_ca_path=files["ca"]) == [f'database.redis.tls_ca_path: "{files["ca"]}" {told}']
    assert lines(url="rediss://h", tls_ca_path=files["nonsense"]) == [
        f'database.redis.tls_ca_path: "{files["nonsense"]}" holds no certificate in PEM'
    ]
    assert lines(url="rediss://h", tls_cert_path=files["cert"]) == [
        "database.redis.tls_key_path: is missing; tls_cert_path is given"
    ]
    assert lines(host="h", tls=True, tls_cert_path=files["cert"], tls_key_path=files["other-key"]) == [
        f'database.redis.tls_key_path: "{files["other-key"]}" is not the key of the certificate'
    ]
    assert lines(url=f"rediss://h?ssl_ca_certs={files['absent']}") == [
        f'database.redis.url: "{files["absent"]}" is not a file that can be read'
    ]
    assert len(lines(**paths)) == 3, "no server is named"
