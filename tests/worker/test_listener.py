"""Whose time is up at the gate; what it does with those who come is in `integration`."""

from __future__ import annotations

import pytest
from aiohttp import web

from engine.http.connection import HEAD_TIMEOUT_S, HttpConnections
from engine.metrics.metrics import Metrics
from engine.worker import listener as module
from engine.worker.listener import Listener


class Newcomer:
    ended = False

    def abort(self) -> None:
        self.ended = True


def test_who_gets_time_anew_gives_it_to_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does whose header of the PROXY protocol has come, and whose handshake begins."""
    now_s = 1000
    monkeypatch.setattr(module, "monotonic_s", lambda: now_s)
    http = HttpConnections({}, 4096, Metrics())
    runner = web.AppRunner(web.Application())
    listener = Listener([], None, runner, http, None, "", None, lambda: 0, 0, None, lambda: None)
    first, second = Newcomer(), Newcomer()
    listener.undecided(first)
    listener.undecided(second)
    now_s += HEAD_TIMEOUT_S - 1
    listener.undecided(first)
    now_s += 1
    listener.sweep()
    assert (first.ended, second.ended) == (False, True)
    now_s += HEAD_TIMEOUT_S - 1
    listener.sweep()
    assert first.ended
