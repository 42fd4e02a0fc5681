"""The certificate that the server shows, as it was when the configuration was read: workers never open its files.

Read at start and at each reload, and handed to workers with the configuration. What the files hold afterwards matters
to no worker, one that is started in place of another included.
"""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.config.server import SslConfig
from engine.errors import ConfigError

#: OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which Python has no name for.
_NO_CHECK_TIME = 0x200000


@dataclass(frozen=True, slots=True)
class Certificate:
    """A chain in PEM, the leaf first, and its key."""

    chain: bytes
    key: bytes = field(repr=False)
    passphrase: str | None = field(repr=False)

    @classmethod
    def read(cls, config: SslConfig) -> Certificate | None:
        """None when TLS is off. Raises ConfigError for files that changed since they were checked."""
        if not config.enabled:
            return None
        contents: list[bytes] = []
        for name in ("cert_path", "key_path"):
            try:
                with open(getattr(config, name), "rb") as file:
                    contents.append(file.read())
            except OSError as error:
                raise ConfigError(f"ssl.{name}: cannot be read: {error.strerror}") from None
        found = cls(contents[0], contents[1], config.passphrase)
        try:
            found.context()
        except (ssl.SSLError, OSError) as error:
            raise ConfigError(f"ssl.cert_path: cannot be used with ssl.key_path: {error}") from None
        return found

    def context(self) -> ssl.SSLContext:
        """For a server. Raises ssl.SSLError."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # A passphrase that is missing must not be asked of the terminal.
        with _file(self.chain) as chain, _file(self.key) as key:
            context.load_cert_chain(chain, key, self.passphrase or "")
        return context

    def expires_at(self) -> float | None:
        """Unix time in seconds until which it is valid; None where that cannot be found out.

        A client that trusts nothing but this certificate shakes hands with a server that shows it, in memory: Python
        shows the dates of a peer's certificate and of no other.
        """
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname = False
        client.verify_flags = ssl.VerifyFlags(ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME)
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        try:
            client.load_verify_locations(cadata=self.chain.decode("ascii", "replace"))
            asking = client.wrap_bio(to_client, to_server)
            showing = self.context().wrap_bio(to_server, to_client, server_side=True)
            for side in (asking, showing, asking):
                with contextlib.suppress(ssl.SSLWantReadError):
                    side.do_handshake()
            shown = asking.getpeercert()
            return None if not shown else float(ssl.cert_time_to_seconds(str(shown["notAfter"])))
        except (ssl.SSLError, ValueError):
            return None


@contextlib.contextmanager
def _file(content: bytes) -> Iterator[str]:
    """A path with this content that nobody else can open; OpenSSL takes chains and keys from files only."""
    fd = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with open(fd, "wb", closefd=False) as file:
            file.write(content)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
