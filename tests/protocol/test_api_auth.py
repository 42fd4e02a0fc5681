"""Signatures of HTTP API requests: the published vectors, the libraries' quirks, and what must be refused."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.app import App
from engine.errors import ApiError
from engine.protocol.api_auth import TIMESTAMP_WINDOW_S, Query, verify_request
from tests.protocol.vectors import APP_A, KEY_A, KEY_B, SECRET_A, make_app
from tests.support.signing import sign, signed_query

NOW = 1353088179
GO = make_app("d41a439c438a100756f5", "4bf35003e819bb138249", "102015")
AUTH = f"auth_key={KEY_A}&auth_timestamp={NOW}&auth_version=1.0"
EVENT = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
BATCH = (
    b'{"batch":[{"channel":"room-1","name":"foo","data":"{\\"a\\":1}"},'
    b'{"channel":"presence-room","name":"bar","data":"x","info":"user_count"}]}'
)
V1 = "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
V2 = "16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291"
V4 = "d6a5fa75ac4886f744258768094aab889b4bd554cd8856412a2274dd50923c8d"
V5 = "d7ffb979d24ed5ae2965286219a6a391d7506d15f626e5319f9142aa0f356305"
V8 = "01fa634edeb0cae84115307cad5c23f65a46cd286461b1c89637a3b5871a8f0e"
ROOM_GO = "/apps/102015/channels/presence-session-d41a439c438a100756f5-4bf35003e819bb138249"

# method, path, query but for the signature, signature, body (docs/protocol.md 9.2)
VECTORS = {
    "H-V1": ("POST", "/apps/3/events", f"{AUTH}&body_md5=ec365a775a4cd0599faeb73354201b6f", V1, EVENT),
    "H-V2": ("GET", "/apps/3/channels", f"{AUTH}&filter_by_prefix=presence-&info=user_count", V2, b""),
    "H-V2 upper": ("GET", "/apps/3/channels", f"Info=user_count&{AUTH}&filter_by_prefix=presence-", V2, b""),
    "H-V3": (
        "GET",
        "/apps/3/channels",
        f"{AUTH}&body_md5=d41d8cd98f00b204e9800998ecf8427e&filter_by_prefix=presence-&info=user_count",
        "f3f17c61ae491cc9085db68b22076e9b772e3bcb301659d655153ee3f9782aba",
        b"",
    ),
    "H-V4": ("GET", "/apps/3/channels/presence-room", f"{AUTH}&info=user_count,subscription_count", V4, b""),
    "H-V4 escaped": ("GET", "/apps/3/channels/presence-room", f"{AUTH}&info=user_count%2Csubscription_count", V4, b""),
    "H-V5": ("GET", "/apps/3/channels/presence-a,b;c@d=e.f", AUTH, V5, b""),
    "H-V5 escaped by a proxy": ("GET", "/apps/3/channels/presence-a%2Cb%3Bc%40d%3De.f", AUTH, V5, b""),
    "H-V6": (
        "GET",
        "/apps/3/channels/presence-a%2Cb%3Bc%40d%3De.f",
        AUTH,
        "1c2a9b9df4e08cbb840fb97030b8374e0038a274e9e893bc449e2eefe50e69bf",
        b"",
    ),
    "H-V7": (
        "POST",
        "/apps/3/batch_events",
        f"{AUTH}&body_md5=00727f6e01e1fce6d75bc5ddee76bd31",
        "c23428e921c9877ee5a377ef383fb58a3af96fc0123d29e6fffb8138f8affe95",
        BATCH,
    ),
    "H-V8": (
        "POST",
        "/apps/3/users/12345/terminate_connections",
        f"{AUTH}&body_md5=99914b932bd37a50b983c5e7c90ae93b",
        V8,
        b"{}",
    ),
    "H-V9": (
        "POST",
        "/apps/3/users/12345/terminate_connections",
        AUTH,
        "0bd2da4cd2c60cbe4627bea865cb306fda26121f3665d934db3e0f3f542a91f8",
        b"",
    ),
    "H-V10": (
        "POST",
        "/users/12345/terminate_connections",
        f"{AUTH}&body_md5=99914b932bd37a50b983c5e7c90ae93b",
        "e3c6b279be14c04728803c2f54d90bef57357d2bb2e1b8ae90507149cd3308d7",
        b"{}",
    ),
}

# timestamp, path, further parameters, signature
GO_VECTORS = {
    "H-V12": (
        1427034994,
        "/apps/102015/channels",
        "&filter_by_prefix=presence-&info=user_count",
        "4d8a02edcc8a758b0162cd6da690a9a45fb8ae326a276dca1e06a0bc42796c11",
    ),
    "H-V13": (
        1427036577,
        "/apps/102015/channels",
        "&filter_by_prefix=presence-",
        "b540383af4582af5fbb5df7be5472d54bd0838c9c2021c7743062568839e6f97",
    ),
    "H-V14": (
        1427036787,
        "/apps/102015/channels",
        "",
        "df89248f87f6e6d028925e0b04d60f316527a865992ace6936afa91281d8bef0",
    ),
    "H-V15": (
        1427053326,
        f"{ROOM_GO}-ROpCFmgFhXY",
        "&info=user_count,subscription_count",
        "f93ceb31f396aef336226efe512aaf339bd5e39c7c2c04b81cc8681dc16ee785",
    ),
    "H-V16": (
        1427053709,
        f"{ROOM_GO}-nYJLy67qh52/users",
        "",
        "207feaf4e8efeb24e5f148011704251bf90e2059a5f97a3eb52d06178b11feca",
    ),
}


def verify(
    method: str,
    path: str,
    query: str,
    body: bytes = b"",
    *,
    app: App = APP_A,
    prefix: str = "",
    now_s: float = NOW,
) -> None:
    verify_request(app, method, path, prefix, Query(query), body, now_s)


def refusal(method: str, path: str, query: str, body: bytes = b"", now_s: float = NOW) -> str:
    with pytest.raises(ApiError) as caught:
        verify(method, path, query, body, now_s=now_s)
    assert (caught.value.status, caught.value.token) == (HTTPStatus.UNAUTHORIZED, "auth_failed")
    return caught.value.message


@pytest.mark.parametrize("vector", VECTORS.values(), ids=VECTORS)
def test_vectors(vector: tuple[str, str, str, str, bytes]) -> None:
    method, path, query, signature, body = vector
    verify(method, path, f"{query}&auth_signature={signature}", body)
    assert refusal(method, path, f"{query}&auth_signature={signature[::-1]}", body)


@pytest.mark.parametrize("vector", GO_VECTORS.values(), ids=GO_VECTORS)
def test_vectors_of_the_go_library(vector: tuple[int, str, str, str]) -> None:
    timestamp, path, more, signature = vector
    query = f"auth_key={GO.key}&auth_timestamp={timestamp}&auth_version=1.0{more}&auth_signature={signature}"
    verify("GET", path, query, app=GO, now_s=timestamp)


def test_the_order_of_parameters_is_free() -> None:
    verify("GET", "/apps/3/channels", f"auth_signature={V2}&info=user_count&filter_by_prefix=presence-&{AUTH}")


@pytest.mark.parametrize("spelling", ["info[]", "info%5B%5D", "info[0]", "Info[]"])
def test_arrays_are_signed_joined_by_commas(spelling: str) -> None:
    """As the PHP library does (H-5)."""
    second = spelling.replace("0", "1")
    query = f"{AUTH}&{spelling}=user_count&{second}=subscription_count&auth_signature={V4}"
    verify("GET", "/apps/3/channels/presence-room", query)
    assert Query(query).get("info") == "user_count,subscription_count"


def test_arrays_may_be_signed_as_sent() -> None:
    """As the Ruby library does."""
    query = f"{AUTH}&info[]=user_count&info[]=subscription_count"
    signature = sign(SECRET_A, f"GET\n/apps/3/x\n{query}")
    verify("GET", "/apps/3/x", f"{query}&auth_signature={signature}")


@pytest.mark.parametrize("path", ["/chat/apps/3/events", "/apps/3/events"])
def test_a_prefix_may_be_signed_or_not(path: str) -> None:
    query = signed_query(KEY_A, SECRET_A, "POST", path, EVENT, timestamp=NOW)
    text = "&".join(f"{key}={value}" for key, value in query.items())
    verify("POST", "/chat/apps/3/events", text, EVENT, prefix="/chat")


def test_the_prefix_of_another_server_is_not_left_out() -> None:
    assert refusal("POST", "/chat/apps/3/events", f"{VECTORS['H-V1'][2]}&auth_signature={V1}", EVENT)


@given(st.dictionaries(st.text("abcXYZ_[]", min_size=1), st.text(), max_size=5))
def test_any_parameters_verify_as_they_are_signed(params: dict[str, str]) -> None:
    lowered = {key.lower(): value for key, value in params.items() if "[" not in key}
    query = signed_query(KEY_A, SECRET_A, "GET", "/apps/3/channels", params=lowered, timestamp=NOW)
    encoded = "&".join(f"{quote_plus(key)}={quote(value)}" for key, value in query.items())
    verify("GET", "/apps/3/channels", encoded)


@given(st.text())
def test_any_query_is_read_or_refused(raw: str) -> None:
    refusal("GET", "/apps/3/channels", raw)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("POST", "GET"), "Invalid signature"),
        (("/apps/3/events", "/apps/4/events"), "Invalid signature"),
        ((f"auth_key={KEY_A}", f"auth_key={KEY_B}"), "Unknown auth_key"),
        ((f"auth_key={KEY_A}&", ""), "required"),
        (("auth_version=1.0", "auth_version=1.1"), "auth_version"),
        (("&auth_version=1.0", ""), "required"),
        ((f"auth_timestamp={NOW}&", ""), "required"),
        ((f"auth_timestamp={NOW}", "auth_timestamp="), "Timestamp"),
        ((f"auth_timestamp={NOW}", "auth_timestamp=now"), "Timestamp"),
        ((f"auth_timestamp={NOW}", "auth_timestamp=-1"), "Timestamp"),
        ((f"auth_timestamp={NOW}", "auth_timestamp=" + "9" * 400), "Timestamp"),
        ((f"auth_timestamp={NOW}", f"auth_timestamp={NOW + 1}"), "Invalid signature"),
        ((f"&auth_signature={V1}", ""), "required"),
        ((V1, ""), "Invalid signature"),
        ((V1, V1.upper()), "Invalid signature"),
        (("&auth_signature", "&x=1&auth_signature"), "Invalid signature"),
        (("&body_md5=ec365a775a4cd0599faeb73354201b6f", ""), "Invalid signature"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refusals(change: tuple[str, str], why: str) -> None:
    request = "\n".join(("POST", "/apps/3/events", f"{VECTORS['H-V1'][2]}&auth_signature={V1}"))
    assert change[0] in request
    method, path, query = request.replace(*change, 1).split("\n")
    assert why in refusal(method, path, query, EVENT)


@pytest.mark.parametrize("off_s", [-TIMESTAMP_WINDOW_S, 0, TIMESTAMP_WINDOW_S])
def test_timestamps_within_ten_minutes_pass(off_s: int) -> None:
    verify("POST", "/apps/3/events", f"{VECTORS['H-V1'][2]}&auth_signature={V1}", EVENT, now_s=NOW + off_s)


@pytest.mark.parametrize("off_s", [-TIMESTAMP_WINDOW_S - 1, TIMESTAMP_WINDOW_S + 1])
def test_timestamps_beyond_are_refused(off_s: int) -> None:
    assert "Timestamp" in refusal(
        "POST", "/apps/3/events", f"{VECTORS['H-V1'][2]}&auth_signature={V1}", EVENT, NOW + off_s
    )


@pytest.mark.parametrize(
    ("signed", "sent", "passes"),
    [
        (None, b"", True),
        (b"", b"", True),
        (b"{}", b"{}", True),
        (None, b"{}", False),
        (b"{}", b"{} ", False),
        (b"{}", b"", False),
        (b"", b"{}", False),
    ],
)
def test_the_digest_of_the_body(signed: bytes | None, sent: bytes, passes: bool) -> None:
    params = {} if signed is None else {"body_md5": hashlib.md5(signed).hexdigest()}
    query = signed_query(KEY_A, SECRET_A, "POST", "/p", params=params, timestamp=NOW)
    text = "&".join(f"{key}={value}" for key, value in query.items())
    if passes:
        verify("POST", "/p", text, sent)
    else:
        assert "body_md5" in refusal("POST", "/p", text, sent)


def test_a_refusal_shows_what_to_sign_but_never_the_secret() -> None:
    message = refusal("POST", "/apps/3/events", f"{VECTORS['H-V1'][2]}&auth_signature=beef", EVENT)
    text = f"POST\\n/apps/3/events\\n{VECTORS['H-V1'][2]}"
    assert message == (
        f'Invalid signature: you should have sent HmacSHA256Hex("{text}", your_secret_key), but you sent "beef"'
    )
    assert SECRET_A not in message


def test_a_refusal_is_short() -> None:
    assert len(refusal("GET", "/x", f"{AUTH}&x={'y' * 50_000}&auth_signature={'z' * 5000}")) < 3000


@pytest.mark.parametrize(
    ("raw", "name", "value"),
    [
        ("a=1", "a", "1"),
        ("A=1", "a", "1"),
        ("a=1&a=2", "a", "1"),
        ("a", "a", ""),
        ("a=", "a", ""),
        ("a=b=c", "a", "b=c"),
        ("a=%E2%98%83+x", "a", "☃ x"),
        ("a=%FF", "a", "\ufffd"),
        ("a=%", "a", "%"),
        ("%61=1", "a", "1"),
        ("&&a=1&", "a", "1"),
        ("", "a", None),
        ("=1", "", None),
        ("b[]=1", "a", None),
        ("a[x]=1", "a", None),
    ],
)
def test_query(raw: str, name: str, value: str | None) -> None:
    assert Query(raw).get(name) == value
