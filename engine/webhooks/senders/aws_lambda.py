"""Webhooks to AWS Lambda: one invocation of a function, and its failure in one line.

Never retries and never decides what becomes of the job. Imported only when a webhook names a function.
"""

from __future__ import annotations

from typing import Any

import orjson

from engine.app import App, Endpoint, LambdaTarget
from engine.aws import Aws, AwsError, Place
from engine.errors import DeliveryError
from engine.interfaces import Job
from engine.protocol.json_values import dumps, loads
from engine.webhooks.senders.headers import request_headers
from engine.webhooks.senders.resolver import public_socket, refusal

#: What Lambda takes of one payload, by invocation type. For Event newer quotas are higher, older ones are not.
MAX_PAYLOAD_BYTES = {"Event": 256 * 1024, "RequestResponse": 6 * 1024 * 1024}


class LambdaSender:
    """A `WebhookSender` for endpoints with a function.

    :param allow_private_targets: False refuses addresses that are not public, at the moment of connecting.
    """

    def __init__(self, *, allow_private_targets: bool = True) -> None:
        self._aws = Aws("lambda", socket_factory=None if allow_private_targets else public_socket)

    async def start(self) -> None:
        await self._aws.start()

    async def stop(self) -> None:
        await self._aws.stop()

    async def send(self, app: App, endpoint: Endpoint, job: Job) -> str:
        function = endpoint.target
        assert isinstance(function, LambdaTarget)
        headers = request_headers(app, endpoint, job, job.body.encode())
        parameters: dict[str, Any] = {
            "FunctionName": function.function_name,
            "InvocationType": function.invocation_type,
            "Payload": make_payload(headers, job.body, MAX_PAYLOAD_BYTES[function.invocation_type]),
        }
        if function.qualifier is not None:
            parameters["Qualifier"] = function.qualifier
        place = Place(function.region, function.endpoint_url)
        try:
            answer = await self._aws.call(place, "invoke", endpoint.timeout_s, stream="Payload", **parameters)
        except AwsError as error:
            raise DeliveryError(str(refusal(error) or error)) from error
        return _outcome(answer)


def make_payload(headers: dict[str, str], body: str, limit: int) -> bytes:
    """What the function gets as its event: the signed request, and its content once more for handlers that were written
    for other servers (D-5).

    :param limit: bytes; a payload that would be larger leaves the copies out.
    """
    request: dict[str, Any] = {"headers": headers, "body": body}
    try:
        content = loads(body)
    except ValueError:
        content = None  # it came from the queue, to which others may have written
    if isinstance(content, dict):
        copies = {"payload": content, "time_ms": content.get("time_ms"), "events": content.get("events")}
        whole = dumps(request | copies)
        if len(whole) <= limit:
            return whole
    return orjson.dumps(request)


def _outcome(answer: dict[str, Any]) -> str:
    """How it was taken (W-39). Raises DeliveryError."""
    returned = _object(answer.get("Payload") or b"")
    if problem := answer.get("FunctionError"):
        # The type alone: a function's own words may repeat what it was sent.
        kind = returned.get("errorType")
        raise DeliveryError(f"the function failed: {problem}" + (f", {kind}" if isinstance(kind, str) else ""))
    status = returned.get("statusCode")
    code = int(status) if isinstance(status, int | str) and str(status).isdecimal() else 0
    if code >= 300:
        raise DeliveryError(f"the function returned statusCode {code}")
    return f"invoked, statusCode {code}" if code else f"invoked, status {answer.get('StatusCode')}"


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
