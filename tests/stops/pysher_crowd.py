"""A crowd of Pysher clients that only keeps a diary; the argument and the lines are those of clients/crowd.mjs.

A client says nothing of the end of a connection, so its own handlers are listened to.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from typing import Any

import pysher

UP_WITHIN_S = 60.0
SUBSCRIBED = "pusher_internal:subscription_succeeded"


class Follower:
    """One client. `subscribed` is whether it is now."""

    def __init__(self, number: int, told: dict[str, Any]) -> None:
        self._room = f"presence-room-{number % told['rooms']}"
        self.diary: dict[str, Any] = {
            "channel": self._room,
            "attempts": 0,
            "states": [],
            "subscribed": [],
            "got": [],
        }
        self.subscribed = False
        user = {"user_id": f"user-{number}"}
        self._client = pysher.Pusher(
            told["key"],
            secret=told["secret"],
            user_data=user,
            custom_host="127.0.0.1",
            port=told["port"],
            secure=told["tls"],
            log_level=logging.CRITICAL,
        )
        connection = self._client.connection
        connection.bind("pusher:connection_established", self._established)
        closed = connection._on_close

        def on_close(*args: object) -> None:
            self._note("disconnected")
            closed(*args)

        connection._on_close = on_close
        connection.bind("pusher:error", lambda _: self.diary["states"].append([time.time(), "told"]))
        self._client.connect()

    def _established(self, _: object) -> None:
        self.diary["attempts"] += 1
        self._note("connected")
        # Each time: what it subscribes to by itself after a reconnect has no signature (`auto_sub`).
        channel = self._client.subscribe(self._room)
        channel.bind(SUBSCRIBED, self._succeeded)
        channel.bind("tick", lambda data: self.diary["got"].append([time.time(), int(data)]))

    def _succeeded(self, _: object) -> None:
        self.subscribed = True
        self.diary["subscribed"].append(time.time())

    def _note(self, state: str) -> None:
        self.subscribed = False
        self.diary["states"].append([time.time(), state])


def main() -> None:
    told = json.loads(sys.argv[1])
    # Each client is a thread, and the stack of most stays empty.
    threading.stack_size(256 * 1024)
    clients = []
    for number in range(told["first"], told["first"] + told["count"]):
        clients.append(Follower(number, told))
        time.sleep(0.01)
    ends_at = time.monotonic() + UP_WITHIN_S
    while not all(client.subscribed for client in clients):
        if time.monotonic() > ends_at:
            sys.exit(1)
        time.sleep(0.05)
    _say("up")
    for line in sys.stdin:
        if line == "out\n":
            _say(str(sum(not client.subscribed for client in clients)))
        elif line == "times\n":
            _say(str(min(len(client.diary["subscribed"]) for client in clients)))
        else:
            _say(json.dumps([client.diary for client in clients]))
            break


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
