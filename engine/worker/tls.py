"""The TLS of a worker's listener, whose certificate can be replaced while it serves.

It opens no file: the supervisor has read the certificate and proved that it can be used.
"""

from __future__ import annotations

import ssl

from engine.config.certificate import Certificate


class ServerTls:
    """:ivar context: for the listener, the same one for its whole life."""

    def __init__(self, certificate: Certificate) -> None:
        self.context = certificate.context()
        # Loading the new pair into the old context would leave it a pair of another kind of key beside the new one.
        self.context.sni_callback = self._show_newest
        self._newest = self.context
        self._certificate = certificate

    def replace(self, certificate: Certificate) -> None:
        """New connections are shown this one; those that stand keep what they have."""
        if certificate != self._certificate:
            self._newest = certificate.context()
            self._certificate = certificate

    def _show_newest(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        """Called in every handshake, whether the client names a server or not."""
        connection.context = self._newest
