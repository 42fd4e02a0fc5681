"""What the official server libraries send is answered by the fast path: none of their members or headers needs Python.

Requests of Python's and Node's library as they were recorded, with a signature for the time of the tests; those of
PHP's (Laravel's), Ruby's and Go's in the form that is known of them, for they could not be run here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from typing import NamedTuple

import pytest

from tests.fuzz.publish_sides import APPS, Side
from tests.http.serving import NOW_S

_SIGNED_SECOND = ("auth_key", "auth_signature", "auth_timestamp", "auth_version", "body_md5")
_SIGNED_LAST = ("auth_key", "auth_timestamp", "auth_version", "body_md5", "auth_signature")


class Library(NamedTuple):
    """:ivar lines: of its head, with the length left open. :ivar query: the order of its parameters."""

    lines: str
    query: tuple[str, ...]
    event: str
    to_several: str
    batch: str


LIBRARIES = {
    "pusher-http-python 3.3.4": Library(
        "Host: 127.0.0.1:6001\nUser-Agent: python-requests/2.34.2\nAccept-Encoding: gzip, deflate\nAccept: */*\n"
        "Connection: keep-alive\nX-Pusher-Library: pusher-http-python 3.3.4\nContent-Type: application/json\n"
        "Content-Length: %d",
        _SIGNED_SECOND,
        r'{"name": "e", "channels": ["room"], "data": "{\"a\": \"\u00e9\"}"}',
        r'{"name": "e", "channels": ["a", "b"], "data": "{\"a\": 1}", "socket_id": "1.1"}',
        r'{"batch": [{"channel": "a", "name": "e", "data": "{\"x\": 1}"}]}',
    ),
    "pusher-http-node 5.3.4": Library(
        "x-pusher-library: pusher-http-node 5.3.4\ncontent-type: application/json\nAccept: */*\nContent-Length: %d\n"
        "User-Agent: node-fetch/1.0 (+https://github.com/bitinn/node-fetch)\nAccept-Encoding: gzip,deflate\n"
        "Host: 127.0.0.1:6001\nConnection: keep-alive",
        _SIGNED_LAST,
        r'{"name":"e","data":"{\"a\":\"é\"}","channels":["room"]}',
        r'{"name":"e","data":"{\"a\":1}","channels":["a","b"],"socket_id":"1.1"}',
        r'{"batch":[{"channel":"a","name":"e","data":"{\"x\":1}"}]}',
    ),
    "pusher-http-php 7": Library(
        "Content-Length: %d\nUser-Agent: GuzzleHttp/7\nHost: 127.0.0.1:6001\nContent-Type: application/json\n"
        "X-Pusher-Library: pusher-http-php 7.2.7",
        _SIGNED_LAST,
        r'{"name":"App\\Events\\Sent","data":"{\"a\":\"\\u00e9\",\"to\":\"\\\/a\"}","channels":["room"]}',
        r'{"name":"e","data":"{\"a\":1}","channels":["a","b"],"socket_id":"1.1"}',
        r'{"batch":[{"channel":"a","name":"e","data":"{\"x\":1}"}]}',
    ),
    "pusher-http-ruby 2": Library(
        "User-Agent: HTTPClient/1.0 (2.9.0, ruby 3.3.0 (2023-12-25))\nAccept: */*\nContent-Type: application/json\n"
        "X-Pusher-Library: pusher-http-ruby 2.0.3\nContent-Length: %d\nHost: 127.0.0.1:6001",
        _SIGNED_LAST,
        r'{"name":"e","channels":["room"],"data":"{\"a\":\"é\"}"}',
        r'{"name":"e","channels":["a","b"],"data":"{\"a\":1}","socket_id":"1.1"}',
        r'{"batch":[{"channel":"a","name":"e","data":"{\"x\":1}"}]}',
    ),
    "pusher-http-go 5": Library(
        "Host: 127.0.0.1:6001\nUser-Agent: Go-http-client/1.1\nContent-Length: %d\nContent-Type: application/json\n"
        "X-Pusher-Library: pusher-http-go 5.1.1\nAccept-Encoding: gzip",
        _SIGNED_LAST,
        r'{"name":"e","channels":["room"],"data":"{\"a\":\"é\"}"}',
        r'{"name":"e","channels":["a","b"],"data":"{\"a\":1}","socket_id":"1.1"}',
        r'{"batch":[{"channel":"a","name":"e","data":"{\"x\":1}"}]}',
    ),
}


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_a_library_sends_is_answered_by_the_fast_path(name: str) -> None:
    library = LIBRARIES[name]

    async def run() -> None:
        side = Side(plain=True)
        app, counted = APPS[0], side._hub.traffic(APPS[0].id)
        for text in (library.event, library.to_several, library.batch):
            body, before = text.encode(), counted.publishes
            what = "batch_events" if text is library.batch else "events"
            made = {
                "auth_key": app.key,
                "auth_timestamp": str(NOW_S),
                "auth_version": "1.0",
                "body_md5": hashlib.md5(body).hexdigest(),
            }
            signed = "&".join(f"{key}={made[key]}" for key in sorted(made))
            made["auth_signature"] = hmac.digest(
                app.secret.encode(), f"POST\n/apps/{app.id}/{what}\n{signed}".encode(), "sha256"
            ).hex()
            query = "&".join(f"{key}={made[key]}" for key in library.query)
            lines = (library.lines % len(body)).replace("\n", "\r\n")
            outcome = side.play([f"POST /apps/{app.id}/{what}?{query} HTTP/1.1\r\n{lines}\r\n\r\n".encode() + body])
            assert outcome.answers.endswith(b"\r\n\r\n{}"), outcome
            assert counted.publishes == before + 1, text
            assert any(outcome.frames)

    asyncio.run(run())
