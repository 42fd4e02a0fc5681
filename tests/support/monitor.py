"""Every command that a Redis gets, as its MONITOR tells, in the order in which it ran them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import redis

from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until


class Command(NamedTuple):
    """:ivar scripted: a script ran it; it stands behind the call of that script."""

    text: str
    scripted: bool

    @property
    def verb(self) -> str:
        return self.text.partition(" ")[0].upper()


class Monitor:
    """:ivar commands: all so far, but for our own fences."""

    def __init__(self, valkey: ValkeyServer) -> None:
        self._valkey = valkey
        self._fences = 0
        self._passed = 0
        self.commands: list[Command] = []

    def fence(self) -> int:
        """Wait until all that Redis has got by now is in `commands`; how many that are."""
        self._fences += 1
        with self._valkey.client() as client:
            client.echo(f"fence {self._fences}")
        wait_until(lambda: self._passed == self._fences)
        return len(self.commands)

    def note(self, text: str, scripted: bool) -> None:
        if text.startswith("ECHO fence "):
            self._passed = int(text.split()[2])
        else:
            self.commands.append(Command(text, scripted))


@contextmanager
def monitored(valkey: ValkeyServer) -> Iterator[Monitor]:
    monitor, last = Monitor(valkey), "ECHO that-is-all"
    # Without a time-out: nobody may send anything for a while.
    with redis.Redis.from_url(valkey.url, socket_timeout=None) as client, client.monitor() as source:

        def listen() -> None:
            for told in source.listen():
                if told["command"] == last:
                    return
                monitor.note(told["command"], told["client_type"] == "lua")

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield monitor
        finally:
            with valkey.client() as other:
                other.execute_command(*last.split())
            thread.join(10)
