"""Signed publish requests for the load client, made beforehand: signing costs it nothing while it measures."""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
import time
from pathlib import Path

from benchmarks.load.servers.base import APP_ID, KEY, SECRET

#: Requests of one file. They are replayed; receivers count how often each arrives.
AT_LEAST = 4096


def write_requests(path: Path, port: int, prefix: str, channels: int, size: int) -> int:
    """Write a file of requests, event s for channel s % channels; how many there are.

    :param size: bytes of an event's data as text.
    """
    count = channels * -(-AT_LEAST // channels)
    with path.open("wb") as file:
        for seq in range(count):
            request = _request(port, f"{prefix}{seq % channels}", seq, size)
            file.write(struct.pack("<I", len(request)) + request)
    return count


def _request(port: int, channel: str, seq: int, size: int) -> bytes:
    start = f'{{"seq":{seq},"pad":"'
    data = start + "x" * max(0, size - len(start) - 2) + '"}'
    body = json.dumps({"name": "tick", "channel": channel, "data": data}, separators=(",", ":")).encode()
    query = (
        f"auth_key={KEY}&auth_timestamp={int(time.time())}&auth_version=1.0&body_md5={hashlib.md5(body).hexdigest()}"
    )
    path = f"/apps/{APP_ID}/events"
    signature = hmac.digest(SECRET.encode(), f"POST\n{path}\n{query}".encode(), "sha256").hex()
    head = (
        f"POST {path}?{query}&auth_signature={signature} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
