"""One invocation of a function: what it gets, and what counts as a failure. By moto, and by a stand-in that fails."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest

from engine.app import Endpoint, LambdaTarget
from engine.config.event_types import EVENT_TYPES
from engine.errors import DeliveryError
from engine.interfaces import Job
from engine.webhooks.job import make_job
from engine.webhooks.senders.aws_lambda import LambdaSender, make_payload
from tests.support.aws import CREDENTIALS, REGION, FailingLambda, MotoAws, use_credentials
from tests.support.receiver import WebhookReceiver
from tests.support.signing import sign
from tests.webhooks.making import KEY, NOW_MS, SECRET, make_app, make_event


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch.setenv)


@pytest.fixture
def function(aws: MotoAws) -> str:
    name = f"handler-{uuid4().hex[:8]}"
    aws.add_function(name)
    return name


def endpoint(url: str, function: str = "handler", timeout_s: float = 10.0, **fields: Any) -> Endpoint:
    parts = {"invocation_type", "qualifier"} & set(fields)
    target = LambdaTarget(function, REGION, endpoint_url=url, **{part: fields.pop(part) for part in parts})
    return Endpoint("e1", target, frozenset(EVENT_TYPES), timeout_s=timeout_s, **fields)


def a_job(*channels: str) -> Job:
    return make_job("app-1", "e1", [make_event(channel) for channel in channels or ("zoë",)], NOW_MS)


def send(target: Endpoint, job: Job, times: int = 1, private: bool = True) -> list[str]:
    async def sending() -> list[str]:
        sender = LambdaSender(allow_private_targets=private)
        await sender.start()
        try:
            return [await sender.send(make_app(target), target, job) for _ in range(times)]
        finally:
            await sender.stop()

    return asyncio.run(sending())


def reason(target: Endpoint, job: Job) -> str:
    with pytest.raises(DeliveryError) as failed:
        send(target, job)
    text = str(failed.value)
    assert "\n" not in text
    assert not [secret for secret in (SECRET, *CREDENTIALS.values()) if secret in text]
    return text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_private_targets_can_be_forbidden(aws: MotoAws, function: str, host: str) -> None:
    """However the address is written, and though something there would answer."""
    target = endpoint(aws.url.replace("127.0.0.1", host), function)
    # Newer clients take no other spelling of an address at all.
    told = "is not public, and webhooks.allow_private_targets is off" if host[0] in "1l" else "was lost|is not public"
    with pytest.raises(DeliveryError, match=told):
        send(target, a_job(), private=False)
    assert send(endpoint(aws.url, function), a_job()) == ["invoked, status 202"]


def test_a_handler_can_verify_what_it_gets(aws: MotoAws, function: str) -> None:
    job = a_job("room", "zoë")
    job.attempt = 2
    target = endpoint(aws.url, function, headers={"Authorization": "Bearer x", "X-Pusher-Key": "forged"})
    assert send(target, job) == ["invoked, status 202"]
    (event,) = aws.sent_to(function)
    assert event["body"] == job.body
    assert event["headers"] == {
        "Content-Type": "application/json",
        "X-Pusher-Key": KEY,
        "X-Pusher-Signature": f"sha256={sign(SECRET, event['body'])}",
        "X-Webhook-Id": job.id,
        "X-Webhook-Attempt": "3",
        "Authorization": "Bearer x",
    }
    # What handlers for other servers read.
    assert event["payload"] == json.loads(job.body)
    assert {"time_ms": event["time_ms"], "events": event["events"]} == event["payload"]


def test_hex_signatures_are_for_functions_too(aws: MotoAws, function: str) -> None:
    send(endpoint(aws.url, function, signature_format="hex"), a_job())
    (event,) = aws.sent_to(function)
    assert event["headers"]["X-Pusher-Signature"] == sign(SECRET, event["body"])


def test_invocation_types(aws: MotoAws, function: str) -> None:
    send(endpoint(aws.url, function), a_job(), times=2)
    send(endpoint(aws.url, function, invocation_type="RequestResponse"), a_job())
    mine = [each.kind for each in aws.invocations if each.function == function]
    assert mine == ["Event", "Event", "RequestResponse"]


def test_qualifiers_and_arns(standin: FailingLambda) -> None:
    standin.answer(202, None)
    send(endpoint(standin.url, "handler", qualifier="PROD"), a_job())
    send(endpoint(standin.url, "arn:aws:lambda:eu-west-1:123456789012:function:handler:BLUE"), a_job())
    assert [path for path, _, _ in standin.requests] == [
        "/2015-03-31/functions/handler/invocations?Qualifier=PROD",
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Ahandler%3ABLUE/invocations",
    ]


@pytest.mark.parametrize(
    ("returned", "outcome"),
    [
        ({"statusCode": 200, "body": "OK"}, "invoked, statusCode 200"),
        ({"statusCode": "204"}, "invoked, statusCode 204"),
        ({"statusCode": None}, "invoked, status 200"),
        ({"statusCode": True}, "invoked, status 200"),
        ("OK", "invoked, status 200"),
        ([], "invoked, status 200"),
    ],
)
def test_what_a_function_may_return(aws: MotoAws, function: str, returned: Any, outcome: str) -> None:
    aws.returns[function] = returned
    assert send(endpoint(aws.url, function, invocation_type="RequestResponse"), a_job()) == [outcome]


@pytest.mark.parametrize("status", [401, "500", 302])
def test_a_status_of_300_or_more_is_a_failure(aws: MotoAws, function: str, status: Any) -> None:
    aws.returns[function] = {"statusCode": status, "body": SECRET}
    target = endpoint(aws.url, function, invocation_type="RequestResponse")
    assert reason(target, a_job()) == f"the function returned statusCode {status}"


def test_an_error_inside_the_function_is_a_failure(standin: FailingLambda) -> None:
    target = endpoint(standin.url, invocation_type="RequestResponse")
    standin.answer(200, {"errorType": "KeyError", "errorMessage": SECRET}, X_Amz_Function_Error="Unhandled")
    assert reason(target, a_job()) == "the function failed: Unhandled, KeyError"
    standin.answer(200, "no object", X_Amz_Function_Error="Unhandled")
    assert reason(target, a_job()) == "the function failed: Unhandled"


def test_what_aws_refuses_is_told_in_one_line_and_tried_once(standin: FailingLambda) -> None:
    target = endpoint(standin.url)
    message = f"User is not authorized\nThe Canonical String was x-amz-security-token:{SECRET}"
    standin.answer(403, {"Message": message}, X_Amzn_ErrorType="AccessDeniedException")
    assert reason(target, a_job()) == "AccessDeniedException: User is not authorized"
    standin.answer(429, {"message": "Rate exceeded", "Type": "User"}, X_Amzn_ErrorType="TooManyRequestsException")
    assert reason(target, a_job()) == "TooManyRequestsException: Rate exceeded"
    standin.answer(503, {})
    assert "503" in reason(target, a_job())
    assert len(standin.requests) == 3
    assert all("Signature=" in headers["authorization"] for _, headers, _ in standin.requests)


async def test_faults_on_the_way(receiver: WebhookReceiver) -> None:
    path = "/2015-03-31/functions/handler/invocations"
    receiver.answer("drop", "hang", path=path)
    sender = LambdaSender()
    await sender.start()
    try:
        for url, timeout_s, told in (
            # The first one makes the client of that place, which takes a second where much else is going on.
            (receiver.url, 60.0, "the connection to lambda's endpoint_url was lost"),
            (receiver.url, 1.0, "no answer within 1 s"),
            ("http://127.0.0.1:9", 60.0, "cannot connect to lambda's endpoint_url"),
        ):
            target = endpoint(url, timeout_s=timeout_s)
            with pytest.raises(DeliveryError) as failed:
                await sender.send(make_app(target), target, a_job())
            assert str(failed.value) == told
    finally:
        await sender.stop()
    assert len(receiver.requests) == 2


async def test_credentials_may_come_later(standin: FailingLambda, monkeypatch: pytest.MonkeyPatch) -> None:
    target, job = endpoint(standin.url), a_job()
    standin.answer(202, None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    sender = LambdaSender()
    await sender.start()
    try:
        with pytest.raises(DeliveryError, match="no AWS credentials were found"):
            await sender.send(make_app(target), target, job)
        use_credentials(monkeypatch.setenv)
        await sender.send(make_app(target), target, job)
    finally:
        await sender.stop()
    assert len(standin.requests) == 1


def test_functions_do_not_wait_for_each_other(receiver: WebhookReceiver, standin: FailingLambda) -> None:
    """Many hanging invocations over one client leave room for more."""
    path = "/2015-03-31/functions/slow/invocations"
    receiver.answer(path=path, always="hang")
    slow, quick = endpoint(receiver.url, "slow", 20.0), endpoint(receiver.url, "quick", 5.0)

    async def sending() -> str:
        sender, app, job = LambdaSender(), make_app(slow, quick), a_job()
        await sender.start()
        hanging = [asyncio.create_task(sender.send(app, slow, job)) for _ in range(40)]
        try:
            while len(receiver.to(path)) < 40:
                await asyncio.sleep(0.01)
            return await sender.send(app, quick, job)
        finally:
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
            await sender.stop()

    assert asyncio.run(sending()) == "invoked, status 200"


def test_a_payload_too_large_leaves_the_copies_out() -> None:
    body = a_job(*(f"room-{number}" for number in range(50))).body
    whole = json.loads(make_payload({"X": "y"}, body, 10**6))
    assert whole.keys() == {"headers", "body", "payload", "time_ms", "events"}
    short = make_payload({"X": "y"}, body, 2 * len(body))
    assert json.loads(short) == {"headers": {"X": "y"}, "body": body}
    assert len(short) < 2 * len(body)


@pytest.mark.parametrize("body", ["no JSON", "[]", '"text"'])
def test_a_body_from_a_stranger_is_sent_as_it_is(body: str) -> None:
    assert json.loads(make_payload({}, body, 1000)) == {"headers": {}, "body": body}
