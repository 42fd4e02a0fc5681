"""Applications and values that the published test vectors are for (docs/protocol.md 9)."""

from __future__ import annotations

from typing import Any

from engine._fast.signature import Signer
from engine.app import App

KEY_A, SECRET_A, SOCKET_A = "278d425bdf160c739803", "7ad3773142a6692b25b8", "1234.1234"
KEY_B, SECRET_B, SOCKET_B = "app-key", "app-secret", "123456789.987654321"


def make_app(key: str, secret: str, app_id: str = "3", **fields: Any) -> App:
    return App(id=app_id, key=key, secret=secret, signer=Signer(secret), **fields)


APP_A = make_app(KEY_A, SECRET_A)
APP_B = make_app(KEY_B, SECRET_B)
