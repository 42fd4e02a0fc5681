"""Whether the certificates and keys that a configuration names can be used: read, parsed, and fitting each other.

Asked at start, by `config check` and at each reload, so that no worker is the first to find out. It names the option
is wrong, and never what a key or passphrase is.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

from engine.config.base import to_flag
from engine.config.loading.document import Document, get
from engine.config.loading.mistakes import ABSENT, Mistakes
from engine.config.option_path import Path
from engine.config.redis import RedisOptions

_REDIS: Path = ("database", "redis")
_UNREADABLE = "is not a file that can be read"


def check(document: Document, mistakes: Mistakes) -> None:
    """Note every file that cannot be used, by the option that names it."""
    _server(document, mistakes)
    for driver in ("mysql", "postgres"):
        path: Path = ("database", driver, "tls_ca_path")
        value = get(document, path)
        if value not in (None, "") and not to_flag(get(document, (*path[:2], "tls"))):
            mistakes.add(path, f"needs database.{driver}.tls", value)
        else:
            _authorities(path, value, mistakes)
    _redis(document, mistakes)


def _server(document: Document, mistakes: Mistakes) -> None:
    if not to_flag(get(document, ("ssl", "enabled"))):
        return
    cert, key, passphrase = (get(document, ("ssl", name)) for name in ("cert_path", "key_path", "passphrase"))
    for name, value in (("cert_path", cert), ("key_path", key)):
        if value in (None, ""):
            mistakes.add(("ssl", name), "is missing; ssl.enabled needs a certificate and its key, as PEM files")
        elif isinstance(value, str) and not _readable(value):
            mistakes.add(("ssl", name), _UNREADABLE, value)
    if isinstance(cert, str) and isinstance(key, str) and cert and key:
        _pair(cert, key, passphrase, lambda name: ("ssl", name), mistakes)


def _redis(document: Document, mistakes: Mistakes) -> None:
    given = get(document, _REDIS)
    if not isinstance(given, dict):
        return
    written = [given.get("url"), *_listed(given.get("cluster_nodes"))]
    encrypted = to_flag(given.get("tls")) or any(str(url).startswith("rediss://") for url in written)
    names = ("tls_ca_path", "tls_cert_path", "tls_key_path")
    for name in names:
        if given.get(name) not in (None, "") and not encrypted:
            mistakes.add((*_REDIS, name), "needs database.redis.tls, or rediss:// in the address", given[name])
    if not encrypted:
        return
    _client({name: given.get(name) for name in names}, lambda name: (*_REDIS, name), mistakes)
    for index, url in enumerate(written):
        try:
            options = RedisOptions.parse(url)
        except (AttributeError, TypeError, ValueError):
            continue
        where: Path = (*_REDIS, "url") if index == 0 else (*_REDIS, "cluster_nodes", index - 1)
        _client({name: getattr(options, name) for name in names}, partial(_same, where), mistakes)


def _same(path: Path, name: str) -> Path:
    """All that an address says is in one option."""
    return path


def _client(given: dict[str, Any], where: Callable[[str], Path], mistakes: Mistakes) -> None:
    ca, cert, key = given["tls_ca_path"], given["tls_cert_path"], given["tls_key_path"]
    _authorities(where("tls_ca_path"), ca, mistakes)
    if cert in (None, "") and key in (None, ""):
        return
    if cert in (None, "") or key in (None, ""):
        missing, other = ("cert", "key") if cert in (None, "") else ("key", "cert")
        mistakes.add(where(f"tls_{missing}_path"), f"is missing; tls_{other}_path is given")
    elif isinstance(cert, str) and isinstance(key, str):
        _pair(cert, key, None, lambda name: where(f"tls_{name}"), mistakes)


def _authorities(path: Path, value: Any, mistakes: Mistakes) -> None:
    if isinstance(value, str) and value and (problem := _certificates_problem(value)):
        mistakes.add(path, problem, value)


def _pair(cert: str, key: str, passphrase: Any, where: Callable[[str], Path], mistakes: Mistakes) -> None:
    """:param where: the path of `cert_path`, `key_path` or `passphrase`."""
    if problem := _certificates_problem(cert):
        mistakes.add(where("cert_path"), problem, cert)
    if not _readable(key):
        mistakes.add(where("key_path"), _UNREADABLE, key)
    elif not problem:
        for name, problem in _pair_problem(cert, key, passphrase if isinstance(passphrase, str) else None):
            mistakes.add(where(name), problem, {"cert_path": cert, "key_path": key}.get(name, ABSENT))


def _pair_problem(cert: str, key: str, passphrase: str | None) -> list[tuple[str, str]]:
    asked = False

    def password() -> str:
        # Without it OpenSSL would ask the terminal.
        nonlocal asked
        asked = True
        return passphrase or ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        # The last one is said of a key of another kind than the certificate's.
        if reason in ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"):
            return [("key_path", "is not the key of the certificate")]
        if asked:
            return [("passphrase", "does not open the key" if passphrase else "is missing; the key is encrypted")]
        if isinstance(reason, str) and reason.startswith(("EE_", "CA_")):
            return [("cert_path", f"cannot be used: {reason.lower().replace('_', ' ')}")]
        return [("key_path", "holds no private key in PEM that can be used")]
    return []


def _certificates_problem(path: str) -> str | None:
    if not _readable(path):
        return _UNREADABLE
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError, ValueError):
        return "holds no certificate in PEM"
    return None


def _readable(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.R_OK)


def _listed(nodes: Any) -> list[Any]:
    if isinstance(nodes, str):
        return [part.strip() for part in nodes.split(",")]
    return nodes if isinstance(nodes, list) else []
