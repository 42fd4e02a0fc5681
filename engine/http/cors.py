"""Cross-origin headers of the HTTP API (H-53), for pages that read it through a browser.

Says nothing to a page of an origin that is not named.
"""

from __future__ import annotations

from engine.config.server import CorsConfig
from engine.http.request import Headers
from engine.protocol.origin import origin_allowed

#: How long a browser may remember a preflight's answer.
MAX_AGE_S = 600


class Cors:
    """Headers for one configuration."""

    def __init__(self, config: CorsConfig) -> None:
        self._everyone = "*" in config.origin
        self._origins = config.origin
        self._credentials: Headers = (("Access-Control-Allow-Credentials", "true"),) if config.credentials else ()
        self._preflight: Headers = (
            ("Access-Control-Allow-Methods", ", ".join(config.methods)),
            ("Access-Control-Allow-Headers", ", ".join(config.allowed_headers)),
            ("Access-Control-Max-Age", str(MAX_AGE_S)),
        )

    def headers(self, origin: str | None, method: str) -> Headers:
        """:param origin: the request's Origin header."""
        preflight = self._preflight if method == "OPTIONS" else ()
        if self._everyone:
            # Browsers refuse `*` together with credentials, so they are allowed to listed origins only.
            return (("Access-Control-Allow-Origin", "*"), *preflight)
        if origin is None or not self._origins or not origin_allowed(self._origins, origin):
            # No list is nobody here, and everybody there.
            return (("Vary", "Origin"),)
        return (("Access-Control-Allow-Origin", origin), ("Vary", "Origin"), *self._credentials, *preflight)
