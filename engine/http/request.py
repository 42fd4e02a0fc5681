"""One HTTP API request and its response, without any HTTP server: what the handlers take and give.

Knows neither of the two ways in which requests are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from engine.errors import ApiError
from engine.protocol.api_auth import Query
from engine.protocol.json_values import dumps

JSON = "application/json"
TEXT = "text/plain"

Headers = Sequence[tuple[str, str]]


class ApiRequest:
    """A request as it was sent.

    :ivar path: still percent-encoded, without the query. :ivar raw_query: the query as sent.
    :ivar idempotency_key: X-Idempotency-Key, "" without one.
    :ivar app_id: of the application that it names, once that is known to exist; "" before.
    """

    __slots__ = ("_query", "app_id", "body", "idempotency_key", "method", "path", "raw_query")

    def __init__(self, method: str, path: str, raw_query: str, body: bytes, idempotency_key: str = "") -> None:
        self.method = method
        self.path = path
        self.raw_query = raw_query
        self.body = body
        self.idempotency_key = idempotency_key
        self.app_id = ""
        self._query: Query | None = None

    @property
    def query(self) -> Query:
        """The parameters, parsed when first asked for: a plainly signed publish never asks."""
        if self._query is None:
            self._query = Query(self.raw_query)
        return self._query


class ApiResponse(NamedTuple):
    """What is sent back."""

    status: int
    body: bytes
    headers: Headers = ()
    content_type: str = JSON


def ok(value: Any, headers: Headers = ()) -> ApiResponse:
    """200, as every official library wants it: a JSON object (H-10)."""
    return ApiResponse(200, dumps(value), headers)


def text(status: int, body: str, headers: Headers = ()) -> ApiResponse:
    return ApiResponse(status, body.encode(), headers, TEXT)


def failed(error: ApiError) -> ApiResponse:
    """The JSON object that .NET needs even here (H-10, D-14)."""
    body = {"error": error.message, "code": error.token, "status": int(error.status)}
    return ApiResponse(error.status, dumps(body), tuple(error.headers.items()))


def invalid(message: str) -> ApiError:
    """What is asked cannot be meant (H-37, H-38)."""
    return ApiError(HTTPStatus.BAD_REQUEST, "invalid_input", message)


def path_of(target: bytes) -> str:
    """The path of a request target, still percent-encoded."""
    return target.partition(b"?")[0].decode("utf-8", "replace")


def app_of(path: str) -> str:
    """The id of the application that a path of the API names; "" where it names none."""
    return path.rpartition("/apps/")[2].partition("/")[0]
