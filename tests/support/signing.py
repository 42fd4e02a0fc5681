"""Signatures as an application makes them, with the standard library alone: the oracle of the engine's own signer."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any


def sign(secret: str, text: str | bytes) -> str:
    """Lower-case hex HMAC-SHA256."""
    data = text.encode() if isinstance(text, str) else text
    return hmac.new(secret.encode(), data, hashlib.sha256).hexdigest()


def channel_auth(key: str, secret: str, socket_id: str, channel: str, channel_data: str | None = None) -> str:
    """`auth` of a subscription (N-8)."""
    text = f"{socket_id}:{channel}" if channel_data is None else f"{socket_id}:{channel}:{channel_data}"
    return f"{key}:{sign(secret, text)}"


def user_auth(key: str, secret: str, socket_id: str, user_data: str) -> str:
    """`auth` of a sign-in (U-1)."""
    return f"{key}:{sign(secret, f'{socket_id}::user::{user_data}')}"


def signed_query(
    key: str,
    secret: str,
    method: str,
    path: str,
    body: bytes = b"",
    params: Mapping[str, str] | None = None,
    timestamp: int | None = None,
) -> dict[str, str]:
    """Query parameters of one API request, signature included (H-3, H-4)."""
    query = {k.lower(): v for k, v in (params or {}).items()}
    query |= {"auth_key": key, "auth_timestamp": str(timestamp or int(time.time())), "auth_version": "1.0"}
    if body:
        query["body_md5"] = hashlib.md5(body).hexdigest()
    text = "&".join(f"{k}={v}" for k, v in sorted(query.items()))
    query["auth_signature"] = sign(secret, f"{method}\n{path}\n{text}")
    return query


def compact(value: Any) -> str:
    """JSON as JavaScript writes it: no spaces, UTF-8, halves of characters as escapes."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode()
