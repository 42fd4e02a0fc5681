"""AWS on 127.0.0.1: moto's server for Lambda, SQS and DynamoDB.

Beside it a stand-in for what its Lambda cannot do without containers. Used by tests through the fixtures `aws` and
`failing_lambda` of their folder. It records what functions are sent.
"""

from __future__ import annotations

import json
import logging
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REGION = "eu-west-1"
#: For the environment of whoever talks to it.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-that-no-queue-may-hold",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
}


@dataclass(slots=True)
class Invocation:
    """What one function was sent."""

    function: str
    kind: str
    event: dict[str, Any]


@dataclass(slots=True)
class MotoAws:
    """A started moto server. :ivar invocations: of all functions so far, in order."""

    url: str
    invocations: list[Invocation] = field(default_factory=list)
    #: Function name -> what it returns, instead of what it was sent.
    returns: dict[str, Any] = field(default_factory=dict)

    def add_function(self, name: str) -> None:
        import boto3

        where: dict[str, Any] = {"endpoint_url": self.url, "region_name": REGION} | _keys()
        role = boto3.client("iam", **where).create_role(RoleName=f"role-{name}", AssumeRolePolicyDocument="{}")
        boto3.client("lambda", **where).create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=role["Role"]["Arn"],
            Handler="main.handler",
            Code={"ZipFile": b"-"},
        )

    def sent_to(self, function: str) -> list[dict[str, Any]]:
        return [each.event for each in self.invocations if each.function == function]


@contextmanager
def moto_aws() -> Iterator[MotoAws]:
    """Start moto in threads of this process; functions succeed and return what they were sent."""
    from moto.awslambda_simple.models import LambdaSimpleBackend
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    aws = MotoAws(f"http://{host}:{port}")
    original = LambdaSimpleBackend.invoke

    def invoke(
        self: Any, function_name: str, qualifier: str | None, body: Any, headers: Mapping[str, str], answer: Any
    ) -> bytes:
        kind = headers.get("X-Amz-Invocation-Type", "RequestResponse")
        aws.invocations.append(Invocation(function_name, kind, json.loads(body)))
        returned = aws.returns.get(function_name)
        return (
            (body if isinstance(body, bytes) else body.encode()) if returned is None else json.dumps(returned).encode()
        )

    LambdaSimpleBackend.invoke = invoke
    try:
        _post(aws.url + "/moto-api/config", {"lambda": {"use_docker": False}})
        yield aws
    finally:
        LambdaSimpleBackend.invoke = original
        server.stop()


@contextmanager
def dynamodb(aws: MotoAws) -> Iterator[Any]:
    """A client that is closed at the end."""
    import boto3

    client = boto3.client("dynamodb", endpoint_url=aws.url, region_name=REGION, **_keys())
    try:
        yield client
    finally:
        client.close()


@dataclass(slots=True)
class DynamoDbTable:
    client: Any
    name: str

    def put(self, item: dict[str, Any]) -> None:
        self.client.put_item(TableName=self.name, Item=item)

    def delete(self, key: dict[str, Any]) -> None:
        self.client.delete_item(TableName=self.name, Key=key)


@contextmanager
def dynamodb_table(aws: MotoAws, name: str, key: str) -> Iterator[DynamoDbTable]:
    """An empty table, gone at the end. :param key: its primary key."""
    with dynamodb(aws) as client:
        client.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        try:
            yield DynamoDbTable(client, name)
        finally:
            client.delete_table(TableName=name)


@dataclass(slots=True)
class FailingLambda:
    """Answers every invocation as it is told. :ivar requests: header names in lower case, path and body of each."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"null"
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def answer(self, status: int, body: Any, **headers: str) -> None:
        """:param headers: names with `_` for `-`."""
        self.status, self.body = status, json.dumps(body).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@contextmanager
def failing_lambda() -> Iterator[FailingLambda]:
    """Lambda's HTTP interface as far as `invoke` needs it."""
    standin = FailingLambda()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            standin.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(standin.status)
            for name, value in standin.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(standin.body)))
            self.end_headers()
            self.wfile.write(standin.body)

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="failing-lambda")
    thread.start()
    standin.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield standin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def use_credentials(set_variable: Callable[[str, str], None]) -> None:
    for name, value in CREDENTIALS.items():
        set_variable(name, value)


def _keys() -> dict[str, str]:
    return {
        "aws_access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    }


def _post(url: str, body: Any) -> None:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        answer.read()
