"""`_fast.upgrade_head` says what picows says of the same head, or nothing."""

from __future__ import annotations

import pytest
from picows.picows import _parse_http_request, _validate_upgrade_request  # type: ignore[attr-defined]

from engine._fast.upgrade_head import read_upgrade

LINES = {
    "Host": "example.com:8080",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
MOST = 4096


def head(first: str = "GET /app/key?protocol=7 HTTP/1.1", more: tuple[str, ...] = (), **changed: str | None) -> bytes:
    """A usual head. :param changed: headers, `_` for `-`; None leaves one out. :param more: lines behind them."""
    fields = {**LINES, **{name.replace("_", "-"): value for name, value in changed.items()}}
    lines = [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([first, *lines, *more, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    "data",
    [
        head(),
        head(Connection="keep-alive, Upgrade"),
        head(Upgrade="WebSocket", more=("User-Agent: a: b", "Accept-Language: de")),
        head(Origin="https://example.com"),
        head(more=("x-forwarded-for: 10.0.0.1", "X-Forwarded-For:10.0.0.2 ", "Cookie:")),
        head(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"),
        head("GET /app/a%20b?x=%2F&&y HTTP/1.1"),
    ],
)
def test_usual_heads_are_read_as_picows_reads_them(data: bytes) -> None:
    found = read_upgrade(data + b"behind", MOST)
    assert found is not None
    request = _parse_http_request(data[:-4])
    for name in ("X-Forwarded-For", "COOKIE", "Origin", "Forwarded"):
        assert list(found.getall(name, ())) == list(request.headers.getall(name, ()))
    if "upgrade" in request.headers["Connection"].lower():
        request.headers["Connection"] = "Upgrade"
    assert found.path == request.path
    assert found.origin == request.headers.get("Origin")
    assert found.size == len(data)
    assert b"\r\nSec-WebSocket-Accept: " + _validate_upgrade_request(request) + b"\r\n\r\n" in found.answer


@pytest.mark.parametrize(
    "data",
    [
        head()[:-1],
        head("POST /app/key HTTP/1.1"),
        head("GET /app/key HTTP/1.0"),
        head("GET  HTTP/1.1"),
        head(Host=None),
        head(Connection=None),
        head(Connection="close"),
        head(Upgrade="h2c"),
        head(Sec_WebSocket_Version="8"),
        head(Sec_WebSocket_Version="13 "),
        head(Sec_WebSocket_Key=None),
        head(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZ===="),
        head(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25j"),
        head(Sec_WebSocket_Protocol="pusher"),
        head(Content_Length="0"),
        head(Transfer_Encoding="chunked"),
        head(Origin="https://exämple.com"),
        head(more=("Upgrade: websocket",)),
        head(more=("X: a", " folded")),
        head(more=("no colon",)),
        head(more=("bad name: x",)),
        head(more=("X: a\x00b",)),
        head(more=tuple(f"X-{n}: y" for n in range(80))),
        head(more=("X: " + "y" * MOST,)),
        head().replace(b"\r\n", b"\n"),
        b"",
        b"\r\n\r\n",
    ],
)
def test_everything_else_is_left_to_picows(data: bytes) -> None:
    assert read_upgrade(data, MOST) is None
