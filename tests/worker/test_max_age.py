"""Connections of some age are sent to another life, not all at one time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from engine._fast.connection import Connection
from engine._fast.hub import Hub
from engine.worker.max_age import JITTER, MaxAge


class Client:
    """Stands for a connection."""

    def __init__(self, number: int) -> None:
        self.socket_id = str(number)
        self.closing = False
        self.code = 0

    def send(self, frame: bytes) -> None:
        """Of no interest here."""

    def close(self, code: int, reason: str) -> None:
        self.closing, self.code = True, code


async def test_each_goes_when_its_time_has_come() -> None:
    now_s = 0.0
    here = {str(number): Client(number) for number in range(100)}
    hub: Any = SimpleNamespace(get=here.get)
    ages = MaxAge(cast(Hub, hub), 100, lambda: now_s)
    note = ages.admitted
    assert note is not None
    for client in here.values():
        note(cast(Connection, client))
    left = here.pop("7")
    now_s = 100 * (1 - JITTER) - 1
    await ages.send_due()
    assert not any(client.closing for client in here.values())
    now_s = 100 * (1 - JITTER / 2)
    await ages.send_due()
    gone = sum(client.closing for client in here.values())
    assert 0 < gone < len(here), "they do not go together"
    now_s = 100.0
    await ages.send_due()
    assert {client.code for client in here.values()} == {4200}
    assert not left.closing


async def test_without_the_option_nobody_is_noted() -> None:
    ages = MaxAge(cast(Hub, None), 0, lambda: 0.0)
    assert ages.admitted is None
    await ages.start()
    await ages.stop()
