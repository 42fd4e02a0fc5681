"""Makes publishes that are nearly right: signed well, of members that are not quite what they should be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tests.fuzz.publish_sides import APPS, CHANNELS, SUBSCRIBER
from tests.http.serving import NOW_S
from tests.support.signing import signed_query

NAMES = [
    "e",
    "event",
    "client-e",
    "pusher:x",
    "pusher_internal:x",
    "",
    "é☃",
    "x" * 200,
    "x" * 201,
    "App\\Event",
    "a\ud83d",
    'say "\n"',
    "p\\x",
    "\ud83d",
]
TEXTS = [
    "",
    "{}",
    '{"a":"\\u00e9"}',
    "x" * 6,
    "☃" * 3,
    "\ud83d\ude00",
    "\ud83d",
    "\ude00a",
    "\x00",
    "\n",
    "/",
    "😀" * 9,
]
ODD: list[Any] = [None, 0, -1.5e3, True, [], {}, [1, {"a": "\udc00"}], {"a": [None]}, 1e400, 12345678901234567890]
ROOMS = [
    *CHANNELS,
    "nobody",
    "",
    "a b",
    "x" * 200,
    "x" * 201,
    "#server-to-user-",
    "#connections",
    "é",
    "cache-",
    "a" * 5,
]
SOCKETS = [SUBSCRIBER, "1.3", "1", "1.", ".1", "x.1", "1.2.3", "", "0" * 64 + ".1", "0" * 65 + ".1", None, 1]
#: Spellings of the same JSON.
SPACES = ["", "", "", " ", "\n\t", "\r\n  "]
BATCHES = ['{"batch":%s}', "[%s]", '{"batch":[%s],"a":1}', '{"batch":[%s,]}', '{"batch":[%s]', '{"batch":[%s]}}']
INFOS = ["user_count", "subscription_count,user_count", ["user_count"], 1, None]
BYTES = [b'"', b"\\", b"\\u", b"{", b"}", b"\x80", b"\r\n", b",", b"\0", b"\xff"]
HEADERS = [
    "Host: x", "Host: y", "host: x", "Content-Type: application/json", "User-Agent: a", "user-agent: b",
    "Connection: close", "Connection: keep-alive", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c",
    "Expect: 100-continue", "Origin: https://a.example", "Transfer-Encoding: chunked", "Content-Encoding: gzip",
    "X-Idempotency-Key: k", "Trailer: x", "Accept: */*", "X-A:", "X-B: \u00e9", "X-C: a\tb", " folded: x",
    "bad name: x", "Content-Length: 3", "X-D: " + "y" * 3000, "ETag: 1", "Cookie: a=b; c=d",
]  # fmt: skip


class Maker:
    """:param seed: what is made follows from it alone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def pieces(self) -> list[bytes]:
        """One to four requests, cut anywhere."""
        data = b"".join(self.request() for _ in range(self._random.choice([1, 1, 1, 2, 4])))
        if self._often(0.1):
            data = self._mutated(data)
        cuts = sorted(self._random.randrange(len(data) + 1) for _ in range(self._random.choice([0, 0, 0, 1, 2, 8])))
        found = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        return [piece for piece in found if piece] or [b"P"]

    def request(self) -> bytes:
        app = self._random.choice([APPS[0]] * 6 + list(APPS))
        batch = self._often(0.25)
        body = self.body(batch)
        path = f"/apps/{app.id}/{'batch_events' if batch else 'events'}"
        if self._often(0.05):
            path = self._random.choice(
                [path + "/", path.upper(), path.replace("a", "%61", 1), "/apps//events", path + "#a"]
            )
        secret = "old" if app.previous_secret and self._often(0.5) else app.secret
        query = signed_query(app.key, secret, "POST", path, body, {}, NOW_S)
        if self._often(0.1):
            self._spoil(query)
        text = "&".join(f"{key}={quote(value)}" for key, value in query.items())
        lines = [f"POST {path}?{text} HTTP/1.1", "Host: x", "Content-Type: application/json"]
        if self._often(0.2):
            lines.insert(self._random.randrange(1, 4), self._random.choice(HEADERS))
        if self._often(0.05):
            lines.remove(self._random.choice(lines[1:]))
        if self._often(0.03):
            lines[0] = lines[0].replace("1.1", self._random.choice(["1.0", "1.2", "2.0", "1.1 "]))
        lines.insert(self._random.randrange(1, len(lines) + 1), f"Content-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode() + body

    def body(self, batch: bool) -> bytes:
        if batch:
            items = ",".join(self.event(True) for _ in range(self._random.choice([1, 2, 3, 10, 11])))
            text = self._random.choice(
                ['{"batch":[%s]}'] * 8 + ['{"batch":%s}', "[%s]", '{"batch":[%s],"a":1}', '{"batch":[%s,]}']
            )
            text %= items
        else:
            text = self.event(False)
        data = text.encode("utf-8", "surrogatepass")
        return self._mutated(data) if self._often(0.1) else data

    def event(self, in_batch: bool) -> str:
        many = self._often(0.1 if in_batch else 0.6)
        members: list[tuple[str, Any]] = [
            ("name", self._random.choice(NAMES if self._often(0.4) else NAMES[:2])),
            ("data", self._random.choice(ODD if self._often(0.1) else TEXTS)),
            ("channels", [self._room() for _ in range(self._random.choice([0, 1, 1, 2, 3, 101]))])
            if many
            else ("channel", self._room()),
        ]
        extra: list[Callable[[], tuple[str, Any]]] = [
            lambda: ("socket_id", self._random.choice(SOCKETS)),
            lambda: (
                "info",
                self._random.choice(["user_count", "subscription_count,user_count", ["user_count"], 1, None]),
            ),
            lambda: ("idempotency_key", self._random.choice(["", None, 1, "k" * 300])),
            lambda: ("tags", {"a": 1}),
            lambda: self._random.choice(members),
            lambda: (self._random.choice(["name", "data", "channel", "channels"]), self._random.choice(ODD)),
        ]
        while self._often(0.3):
            members.append(self._random.choice(extra)())
        if self._often(0.05):
            members.remove(self._random.choice(members))
        self._random.shuffle(members)
        space = self._random.choice(SPACES)
        pairs = [f"{space}{self._spelled(key)}{space}:{space}{self._spelled(value)}" for key, value in members]
        return "{" + f"{space},".join(pairs) + space + "}"

    def _room(self) -> str:
        return self._random.choice(ROOMS if self._often(0.2) else ROOMS[:4])

    def _spelled(self, value: Any) -> str:
        """JSON, escaped more than need be or as little as can be."""
        text = json.dumps(value, ensure_ascii=self._often(0.5))
        if self._often(0.1):
            text = text.replace("/", "\\/").replace("a", "\\u0061").replace("e", "\\u0065")
        return text

    def _spoil(self, query: dict[str, str]) -> None:
        key = self._random.choice(list(query))
        value = query[key]
        spoilt = ["", "0", value[:-1], value + "0", value.upper(), "k2", str(NOW_S - 601)]
        query[key] = self._random.choice(spoilt)
        if self._often(0.3):
            del query[key]

    def _mutated(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(self._random.choice([1, 1, 2, 5])):
            at = self._random.randrange(len(changed) + 1)
            match self._random.randrange(4):
                case 0:
                    changed[at:at] = self._random.randbytes(1)
                case 1:
                    del changed[at : at + self._random.choice([1, 1, 4])]
                case 2:
                    changed[at : at + 1] = self._random.choice(BYTES)
                case _:
                    other = self._random.randrange(len(changed) + 1)
                    changed[at:at] = changed[other : other + self._random.randrange(20)]
        return bytes(changed)

    def _often(self, share: float) -> bool:
        return self._random.random() < share
