"""One request as an application sees it, checked by the official verifier and the documentation's own; and every way
in which it can fail, in one line."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pusher
import pytest

from engine.app import Endpoint
from engine.errors import DeliveryError
from engine.interfaces import Job
from engine.webhooks.job import make_job
from engine.webhooks.senders.http import MAX_BODY_BYTES, HttpSender
from engine.worker.loop import Loop
from tests.support.databases import CERTIFICATE
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import until
from tests.webhooks.making import KEY, SECRET, make_app, make_endpoint, make_event


def fresh_job() -> Job:
    return make_job("app-1", "e1", [make_event("zoë-☃")], time.time_ns() // 1_000_000)


def send(url: str, *jobs: Job, private: bool = True, **fields: Any) -> None:
    """Send jobs one after the other to one endpoint."""

    async def run() -> None:
        sender = HttpSender(allow_private_targets=private)
        await sender.start()
        try:
            endpoint: Endpoint = make_endpoint(url=url, **fields)
            for job in jobs or (fresh_job(),):
                await sender.send(make_app(endpoint), endpoint, job)
        finally:
            await sender.stop()

    # The loop of the workers, whose errors are worded differently.
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(run())


def failure(url: str, **fields: Any) -> str:
    with pytest.raises(DeliveryError) as caught:
        send(url, **fields)
    reason = str(caught.value)
    assert "\n" not in reason
    return reason


def seed_verifier(body: str, signature: str, secret: str) -> bool:
    """As the documentation gives it to its readers."""
    expected_signature = hmac.new(secret.encode("utf-8"), body.encode("utf-8"), hashlib.sha256).hexdigest()
    received_signature = signature.replace("sha256=", "")
    return hmac.compare_digest(expected_signature, received_signature)


def test_the_request(receiver: WebhookReceiver) -> None:
    job = fresh_job()
    job.attempt = 2
    send(f"{receiver.url}/hook", job)
    (request,) = receiver.to("/hook")
    assert request.body == job.body.encode()
    assert {name: value for name, value in request.headers.items() if name not in ("host", "user-agent")} == {
        "content-type": "application/json",
        "content-length": str(len(request.body)),
        "accept": "application/json",
        "x-pusher-key": KEY,
        "x-pusher-signature": "sha256=" + hmac.new(SECRET.encode(), request.body, "sha256").hexdigest(),
        "x-webhook-id": job.id,
        "x-webhook-attempt": "3",
    }
    assert request.headers["user-agent"]
    assert seed_verifier(request.body.decode(), request.headers["x-pusher-signature"], SECRET)


def test_the_official_verifier_accepts_the_bare_digest(receiver: WebhookReceiver) -> None:
    send(receiver.url, signature_format="hex")
    (request,) = receiver.to()
    key, signature = request.headers["x-pusher-key"], request.headers["x-pusher-signature"]
    client = pusher.Pusher(app_id="1", key=KEY, secret=SECRET)
    webhook = client.validate_webhook(key=key, signature=signature, body=request.body.decode())
    assert webhook is not None
    assert webhook["events"][0]["channel"] == "zoë-☃"
    assert client.validate_webhook(key=key, signature=signature, body=request.body.decode() + " ") is None
    assert seed_verifier(request.body.decode(), signature, SECRET)


def test_custom_headers_are_added_and_replace_nothing_of_ours(receiver: WebhookReceiver) -> None:
    theirs = ["X-PUSHER-KEY", "x-pusher-signature", "content-type", "X-Webhook-ID", "Content-Length", "Connection"]
    headers = dict.fromkeys(theirs, "forged") | {"Authorization": "Bearer t", "X-Source": "engine"}
    send(receiver.url, headers=headers)
    (request,) = receiver.to()
    assert (request.headers["authorization"], request.headers["x-source"]) == ("Bearer t", "engine")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-pusher-key"] == KEY
    assert request.signed_with(SECRET)
    assert "forged" not in request.headers.values()


def test_custom_headers_say_otherwise_what_a_sender_usually_says(receiver: WebhookReceiver) -> None:
    send(receiver.url, headers={"User-Agent": "acme", "accept": "text/plain"})
    (request,) = receiver.to()
    assert (request.headers["user-agent"], request.headers["accept"]) == ("acme", "text/plain")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_every_2xx_is_success(receiver: WebhookReceiver, status: int) -> None:
    receiver.answer(always=status)
    send(receiver.url)


@pytest.mark.parametrize("status", [199 + 101, 301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 503])
def test_everything_else_is_a_failure_and_redirects_are_not_followed(receiver: WebhookReceiver, status: int) -> None:
    receiver.answer(always=status)
    assert failure(receiver.url).startswith(f"status {status}")
    assert [request.path for request in receiver.requests] == ["/"]


def test_an_endpoint_that_never_answers(receiver: WebhookReceiver) -> None:
    receiver.answer(always="hang")
    assert failure(receiver.url, timeout_s=0.1) == "no answer within 0.1 s"


def test_an_endpoint_that_closes_the_connection(receiver: WebhookReceiver) -> None:
    receiver.answer(always="drop")
    assert failure(receiver.url) == "connection closed before an answer"


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        assert failure(f"http://127.0.0.1:{taken.getsockname()[1]}/") == "cannot connect: Connection refused"


def test_a_host_that_does_not_exist() -> None:
    assert failure("http://no-such-host.invalid/").startswith("cannot find no-such-host.invalid: ")


@pytest.mark.parametrize("url", ["http://", "http://[::1", "nonsense", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"])
def test_an_unusable_url(url: str) -> None:
    assert failure(url)


def test_a_header_that_cannot_be_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert failure(url, headers={"X-Bad": "a\r\nX-Pusher-Key: b"}).startswith("ValueError: ")
        with listener.accept()[0] as connection:
            assert connection.recv(1) == b""


def test_a_certificate_that_nobody_vouches_for() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    received: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as plain, suppress(OSError), context.wrap_socket(plain, server_side=True) as secure:
            received.append(secure.recv(1))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener])
        thread.start()
        assert failure(f"https://127.0.0.1:{listener.getsockname()[1]}/").startswith("TLS: ")
        thread.join(10)
    assert received == []


@contextmanager
def raw_server(answer: bytes, close: bool = True) -> Iterator[tuple[str, list[list[bytes]]]]:
    """Answers every request with the same bytes; the list holds the requests of each connection."""
    connections: list[list[bytes]] = []
    transports: list[asyncio.WriteTransport] = []
    ready: queue.Queue[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append([])
        requests = connections[-1]
        transports.append(writer.transport)
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                requests.append(await reader.readuntil(b"]}"))
                writer.write(answer)
                await writer.drain()
                if close:
                    break
        writer.close()

    async def serve() -> None:
        stop = asyncio.Event()
        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        ready.put((f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", asyncio.get_running_loop(), stop))
        await stop.wait()
        server.close()
        for transport in transports:
            transport.abort()
        # One turn for the readers to see the end, one for the transports to close.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    url, loop, stop = ready.get(timeout=10)
    try:
        yield url, connections
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9\r\n\r\n", b"HTTP/1.1 99999 x\r\n\r\n", b"\x00\xff" * 50])
def test_an_answer_that_is_no_http(answer: bytes) -> None:
    with raw_server(answer) as (url, _):
        assert failure(url, timeout_s=2.0)


def test_what_becomes_of_the_body_changes_nothing() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort") as (url, _):
        send(url)
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", close=False) as (url, _):
        send(url, timeout_s=0.1)
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc") as (url, _):
        send(url)


def test_no_cookie_travels_from_one_request_to_another() -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: of=another; Path=/\r\nContent-Length: 0\r\n\r\n"
    with raw_server(answer, close=False) as (url, connections):
        send(url.replace("127.0.0.1", "localhost"), fresh_job(), fresh_job())
        requests = [request for connection in connections for request in connection]
    assert len(requests) == 2
    assert not any(b"cookie" in request.lower() for request in requests)


def test_a_short_answer_keeps_the_connection_and_an_endless_one_does_not() -> None:
    with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", close=False) as (url, connections):
        send(url, fresh_job(), fresh_job(), fresh_job())
        assert len(connections) == 1
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n" + b"x" * (2 * MAX_BODY_BYTES)
    with raw_server(endless, close=False) as (url, connections):
        send(url, fresh_job(), fresh_job())
        assert len(connections) == 2


REFUSED = [
    "http://127.0.0.1{port}/",
    "http://localhost{port}/",
    "http://0x7f.0.0.1{port}/",
    "http://0.0.0.0{port}/",
    "http://[::1]{port}/",
    "http://[::ffff:127.0.0.1]{port}/",
    "http://[64:ff9b::7f00:1]{port}/",
    "http://[2002:7f00:1::]{port}/",
    "http://10.0.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://224.0.0.1/",
]


@pytest.mark.parametrize("url", REFUSED)
def test_private_targets_can_be_refused(receiver: WebhookReceiver, url: str) -> None:
    port = receiver.url.rpartition(":")[2]
    assert "is not public" in failure(url.format(port=f":{port}"), private=False, timeout_s=1.0)
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["127.1", "2130706433", "017700000001"])
def test_odd_spellings_of_a_private_address_lead_nowhere(receiver: WebhookReceiver, host: str) -> None:
    assert failure(f"http://{host}:{receiver.url.rpartition(':')[2]}/", private=False, timeout_s=1.0)
    assert receiver.requests == []


def test_many_senders_do_not_share_a_limit(receiver: WebhookReceiver) -> None:
    """A hundred hanging requests to one endpoint, and one to another that is answered at once."""
    receiver.answer(path="/black-hole", always="hang")

    async def run(check: Callable[[], float]) -> float:
        sender = HttpSender()
        await sender.start()
        hole = make_endpoint("hole", f"{receiver.url}/black-hole")
        good = make_endpoint("good", f"{receiver.url}/good")
        stuck = [asyncio.create_task(sender.send(make_app(hole), hole, fresh_job())) for _ in range(100)]
        await until(lambda: len(receiver.to("/black-hole")) == 100)
        started = check()
        await sender.send(make_app(good), good, fresh_job())
        took = check() - started
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)
        await sender.stop()
        return took

    assert asyncio.run(run(time.monotonic)) < 2.0
    assert json.loads(receiver.to("/good")[0].body)["events"]


PATHS = [
    "/hook?sig=a%2Fb%2Bc%3D&next=https%3A%2F%2Fx.example%2F",
    "/t/c%3Ad%40e?x=1",
    "//two//slashes",
    "/a/../b?",
    "/%7e",
]


@pytest.mark.parametrize("path", PATHS)
def test_an_address_is_asked_for_as_it_is_written(path: str) -> None:
    """And a long header in the answer does not make a failure of a 200."""
    asked: list[str] = []

    def serve(listener: socket.socket) -> None:
        peer, _ = listener.accept()
        with peer, peer.makefile("rb") as lines:
            asked.append(lines.readline().decode().split(" ")[1])
            length = 0
            while line := lines.readline().strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            lines.read(length)
            peer.sendall(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 30_000 + b"\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        send(f"http://127.0.0.1:{listener.getsockname()[1]}{path}")
        thread.join(10)
    assert asked == [path.removesuffix("?")]
