"""The HTTP requests of rules, signed with the standard library alone, a connection each. Used by `play.py`."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from tests.conformance.match import ABSENT, ANY, mismatch
from tests.conformance.rule import Call
from tests.support.signing import signed_query

TIMEOUT_S = 30.0
#: What server libraries put into a path as it is (H-5).
UNESCAPED = "/,;@=:%"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(url: str, app_id: str, key: str, secret: str, call: Call) -> Answer:
    """Send it and wait for the answer."""
    parts = urlsplit(url)
    body = _body(call.body)
    path = (
        call.path[1:]
        if call.path.startswith("//")
        else f"/apps/{app_id if call.app_id is None else call.app_id}{call.path}"
    )
    target = parts.path.rstrip("/") + quote(path, safe=UNESCAPED)
    if not call.unsigned:
        query: dict[str, str | None] = dict(
            signed_query(
                key,
                call.secret or secret,
                call.method,
                call.signed_path or path,
                b"" if "body_md5" in call.params else body,
                params=call.params,
                timestamp=int(time.time()) - call.age_s,
            )
        )
        query |= call.changed
        target += "?" + urlencode({name: value for name, value in query.items() if value is not None})
    secure = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(
        parts.hostname or "127.0.0.1", parts.port, timeout=TIMEOUT_S
    )
    try:
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(call.method, target, body or None, headers | call.sent_headers)
        answer = connection.getresponse()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def difference(call: Call, answer: Answer) -> str:
    """Why the answer is not as the rule says; "" when it is."""
    if answer.status not in call.statuses:
        return f"status is {answer.status}, not {' or '.join(map(str, call.statuses))}: {answer.body[:300]!r}"
    if wrong := mismatch(call.headers, answer.headers, "header"):
        return wrong
    if call.answer is ANY:
        return ""
    text = answer.body.decode(errors="replace")
    try:
        return mismatch(call.answer, text if isinstance(call.answer, str) else json.loads(text), "answer")
    except ValueError:
        return f"the answer is {text!r}, not JSON"


def _body(body: Any) -> bytes:
    if body is None or body is ABSENT:
        return b""
    if isinstance(body, bytes):
        return body
    return (body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)).encode("utf-8", "backslashreplace")
