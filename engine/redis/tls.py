"""How connections to Redis are encrypted: one context for our own links, and the same in redis-py's words.

The server's certificate and its name are always verified. It opens files when asked, and keeps nothing.
"""

from __future__ import annotations

import ssl
from typing import Any

from engine.config.redis import RedisOptions


def client_context(options: RedisOptions) -> ssl.SSLContext | None:
    """None without TLS. Raises OSError (ssl.SSLError is one) for files that cannot be used any more."""
    if not options.tls:
        return None
    context = ssl.create_default_context(cafile=options.tls_ca_path)
    if options.tls_cert_path is not None:
        context.load_cert_chain(options.tls_cert_path, options.tls_key_path)
    return context


def library_settings(options: RedisOptions) -> dict[str, Any]:
    """Keyword arguments of redis-py's encrypted connections; none of them without TLS."""
    if not options.tls:
        return {}
    return {
        "ssl_ca_certs": options.tls_ca_path,
        "ssl_certfile": options.tls_cert_path,
        "ssl_keyfile": options.tls_key_path,
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
    }
