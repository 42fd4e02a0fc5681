"""The certificate that a worker's listener serves by. Called once, when the worker's parts are built.

Never says what is wrong with the files: the check of the configuration has opened them before.
"""

from __future__ import annotations

import ssl

from engine.config.server import SslConfig


def server_context(config: SslConfig) -> ssl.SSLContext | None:
    """None when TLS is off."""
    if not config.enabled:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(config.cert_path, config.key_path, config.passphrase)
    return context
