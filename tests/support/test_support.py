"""The support code itself: what it hides must not hide failures."""

from __future__ import annotations

import asyncio
import http.client
import urllib.error
import urllib.request

import pytest
import redis

from tests.support.receiver import Answer, WebhookReceiver
from tests.support.signing import channel_auth, sign, signed_query, user_auth
from tests.support.valkey import ValkeyServer
from tests.support.waiting import free_port, until, wait_until

SECRET = "7ad3773142a6692b25b8"
KEY = "278d425bdf160c739803"


def test_redis_url_is_a_real_server(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.info("server")["server_name"] == "valkey"
        assert client.eval("return redis.call('TIME')[1]", 0)


def test_waiting_gives_up_with_a_reason() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.02 s: rain"):
        wait_until(lambda: False, 0.02, "rain")
    with pytest.raises(AssertionError, match="snow"):
        asyncio.run(until(lambda: False, 0.02, lambda: "snow"))
    assert 10_000 <= free_port() < 30_000


def test_signatures_equal_the_published_vectors() -> None:
    assert channel_auth(KEY, SECRET, "1234.1234", "private-foobar") == (
        f"{KEY}:58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
    )
    assert user_auth(KEY, SECRET, "1234.1234", '{"id":"12345"}') == (
        f"{KEY}:4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"
    )
    body = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
    query = signed_query(KEY, SECRET, "POST", "/apps/3/events", body, timestamp=1353088179)
    assert query["auth_signature"] == "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"


def test_receiver_records_and_answers_as_told(receiver: WebhookReceiver) -> None:
    body = b'{"time_ms":1,"events":[{"name":"channel_occupied","channel":"a"}]}'
    receiver.answer(500, "drop", path="/hook")
    assert _post(receiver.url + "/hook", body) == 500
    with pytest.raises(ConnectionError):
        _post(receiver.url + "/hook", body)
    assert receiver.events("/hook") == []
    assert _post(receiver.url + "/hook", body, {"X-Pusher-Signature": "sha256=" + sign(SECRET, body)}) == 200
    assert receiver.names("/hook") == ["channel_occupied"]
    assert [r.signed_with(SECRET) for r in receiver.to("/hook")] == [False, False, True]


@pytest.mark.parametrize("way", ["deaf", "break"])
def test_receiver_takes_what_it_does_not_answer(receiver: WebhookReceiver, way: Answer) -> None:
    body = b'{"time_ms":1,"events":[{"name":"channel_occupied","channel":"a"}]}'
    receiver.answer(path="/hook", always=lambda: way)
    with pytest.raises((ConnectionError, http.client.IncompleteRead)):
        _post(receiver.url + "/hook", body)
    assert receiver.names("/hook") == ["channel_occupied"]


def test_valkey_keeps_its_data_if_it_is_told_to() -> None:
    with ValkeyServer(("--appendonly", "yes", "--appendfsync", "always")) as server, server.client() as client:
        for number, end in enumerate((server.kill, server.shut_down)):
            assert client.incr("number") == number + 1
            end()
            server.start()
        assert client.get("number") == b"2"


def _post(url: str, body: bytes, headers: dict[str, str] | None = None) -> int:
    request = urllib.request.Request(url, body, headers or {}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            answer.read()
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
