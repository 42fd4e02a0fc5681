"""The quick check of a request's signature says yes only where the full one does."""

import hashlib
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._fast.request import signed_plainly
from engine._fast.signature import Signer
from engine.app import App
from engine.errors import ApiError
from engine.protocol.api_auth import Query, verify_request
from tests.support.signing import signed_query

SECRET = "7ad3773142a6692b25b8"
APP = App(id="3", key="key", secret=SECRET, signer=Signer(SECRET))
NOW_S = 1_700_000_000
PATH = "/apps/3/events"


def plainly(query: str, body: bytes, path: str = PATH, now_s: float = NOW_S) -> bool:
    return signed_plainly(
        APP.signer, APP.key, b"POST", path.encode(), query.encode("utf-8", "surrogatepass"), body, now_s, 600
    )


def fully(query: str, body: bytes, path: str = PATH, now_s: float = NOW_S) -> bool:
    try:
        verify_request(APP, "POST", path, "", Query(query), body, now_s)
    except ApiError:
        return False
    return True


def signed(body: bytes, **params: str) -> dict[str, str]:
    return signed_query("key", SECRET, "POST", PATH, body, params, NOW_S)


@pytest.mark.parametrize("body", [b"", b"{}", b"x" * 10_000])
@pytest.mark.parametrize("params", [{}, {"info": "user_count,subscription_count"}, {"a": "", "zz": "1"}])
def test_what_libraries_send_is_known_at_once(body: bytes, params: dict[str, str]) -> None:
    query = signed(body, **params)
    text = "&".join(f"{k}={v}" for k, v in query.items())
    assert plainly(text, body)
    assert plainly("&".join(f"{k}={v}" for k, v in reversed(query.items())), body)


CHANGES = {
    "body": lambda q: q | {"body_md5": hashlib.md5(b"other").hexdigest()},
    "signature": lambda q: q | {"auth_signature": "0" * 64},
    "short signature": lambda q: q | {"auth_signature": q["auth_signature"][:-1]},
    "upper-case signature": lambda q: q | {"auth_signature": q["auth_signature"].upper()},
    "added": lambda q: q | {"more": "1"},
    "removed": lambda q: {k: v for k, v in q.items() if k != "auth_version"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_else_is(change: str) -> None:
    query = CHANGES[change](signed(b"{}"))
    assert not plainly("&".join(f"{k}={v}" for k, v in query.items()), b"{}")


def test_other_key_time_and_body() -> None:
    text = urllib.parse.urlencode(signed(b"{}"))
    assert plainly(text, b"{}")
    assert plainly(text, b"{}", now_s=NOW_S + 600)
    assert not plainly(text, b"{}", now_s=NOW_S + 601)
    assert not plainly(text, b"[]")
    assert not plainly(text, b"")
    assert not plainly(text, b"{}", path="/apps/4/events")
    assert not signed_plainly(APP.signer, "other", b"POST", PATH.encode(), text.encode(), b"{}", NOW_S, 600)


KEYS = st.sampled_from(["auth_key", "auth_timestamp", "auth_version", "body_md5", "a", "A", "info[]", "b%20", "é", ""])
PARTS = st.tuples(KEYS, st.text(alphabet="01.keyaB%+=é", max_size=8)).map("=".join) | st.text(max_size=5)


@given(st.lists(PARTS, max_size=20), st.binary(max_size=10), st.booleans())
def test_yes_is_never_said_where_the_full_check_says_no(parts: list[str], body: bytes, sign: bool) -> None:
    text = "&".join(parts)
    if sign:
        base = f"POST\n{PATH}\n{next(Query(text).signed_forms())}"
        text += f"&auth_signature={APP.signer.hex(base.encode('utf-8', 'replace'))}"
    if plainly(text, body):
        assert fully(text, body)
