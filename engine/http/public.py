"""What the main port still answers where the HTTP API has an address of its own: the pages that balancers ask for.

Routes of the API are refused there by their path alone; no signature and no body is looked at.
"""

from __future__ import annotations

import logging
from http import HTTPStatus

from engine.errors import ApiError
from engine.http.request import ApiResponse, path_of
from engine.http.routes import Api
from engine.log.notices import Notices

_REMEDY = (
    "a back end asks for the HTTP API on the main port, which does not serve it: give its library the address that"
    " `http_api` names, or take `http_api.port` and `http_api.unix_socket` out"
)

_log = logging.getLogger(__name__)


class PublicApi:
    """Stands in front of the same `Api` that the other address has."""

    #: There is nothing to be counted.
    limits_addresses = False

    def __init__(self, api: Api) -> None:
        self._api = api
        self._notices = Notices(_log)

    async def handle(
        self,
        method: str,
        target: bytes,
        body: bytes,
        address: str = "",
        idempotency_key: str = "",
        traceparent: str = "",
    ) -> ApiResponse:
        """As `Api.handle`."""
        refusal = self.refuse(method, target, len(body))
        return await self._api.handle(method, target, b"") if refusal is None else refusal

    def refuse(self, method: str, target: bytes, body_bytes: int) -> ApiResponse | None:
        """As `Api.refuse`: 404 for all that is served at the other address only; None for the pages."""
        path = path_of(target)
        if not self._api.is_signed(path):
            return None
        self._notices.note(logging.INFO, "elsewhere", _REMEDY)
        message = "The HTTP API is not served on this port; it has an address of its own."
        return self._api.refused(ApiError(HTTPStatus.NOT_FOUND, "not_found", message))

    def refused(self, error: ApiError) -> ApiResponse:
        """As `Api.refused`."""
        return self._api.refused(error)
