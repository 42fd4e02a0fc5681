"""`python -m engine apps` shows what an operator needs and nothing that is secret."""

from __future__ import annotations

import pytest

from engine._fast.signature import Signer
from engine.app import App, Endpoint, HttpTarget, LambdaTarget
from engine.cli.apps import show_apps


def test_apps_and_their_webhooks(capsys: pytest.CaptureFixture[str]) -> None:
    web = Endpoint(
        "e1", HttpTarget("https://user:pw@a.example/hook?token=t0ken"), frozenset({"member_added", "cache_miss"})
    )
    function = Endpoint("e2", LambdaTarget("handler", "eu-west-1"), frozenset({"client_event"}))
    apps = [
        App("1", "key-1", "first-secret", Signer("first-secret"), client_messages=True, endpoints=(web, function)),
        App("shop\x1b[2J", "key\u202e2", "other-secret", Signer("other-secret"), enabled=False, max_connections=500),
    ]
    assert show_apps(apps) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0][:4] == ["ID", "KEY", "SECRET", "ENABLED"]
    assert lines[1] == ["1", "key-1", "********", "yes", "yes", "unlimited", "2"]
    assert lines[2] == ["e1", "https://a.example/hook:", "cache_miss,", "member_added"]
    assert lines[3] == ["e2", "lambda", "handler", "(eu-west-1):", "client_event"]
    assert lines[4] == ["shop\\x1b[2J", "key\\u202e2", "********", "no", "no", "500", "0"]


def test_nothing_secret_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    web = Endpoint(
        "e1", HttpTarget("https://user:pw@a.example/hook?token=t0ken"), frozenset({"cache_miss"}), headers={"A": "B3"}
    )
    show_apps([App("1", "key-1", "first-secret", Signer("first-secret"), endpoints=(web,))])
    shown = capsys.readouterr().out
    assert [word for word in ("first-secret", "pw", "t0ken", "B3") if word in shown] == []
