"""Real clients of the official libraries, a publisher and a caller, and what all of them saw of a stop."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.signing import signed_query

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "tests" / "clients"
#: Of an engine with TLS, and what its clients trust.
CERTIFICATE = ROOT / "tests" / "support" / "self_signed.pem"
#: What each library's crowd is started with, and where.
LIBRARIES = {
    "pusher-js": (["node", "crowd.mjs"], CLIENTS),
    "laravel-echo": (["node", "crowd.mjs"], CLIENTS),
    "pysher": ([sys.executable, "-m", "tests.stops.pysher_crowd"], ROOT),
}
#: Clients of a room at most. Each of them is told of everybody who comes to it or leaves it, so that with larger rooms
#: the crowd would be busy with itself.
ROOM = 20
#: Channels of a publish, in turn: what 500 clients hear of 50 publishes a second is not to be all that they can hear.
CHANNELS_OF_A_PUBLISH = 5
#: A process of Node has one core: more clients than these would wait for each other, and not for the server.
CLIENTS_OF_A_PROCESS = 100
#: Once a client is told of an end, its events are nobody's; this long before, they may be on their way.
ON_ITS_WAY_S = 0.05


class Crowd:
    """Clients of one library, in processes of their own; `leave` gives what they wrote down.

    :param cafile: the certificate by which an engine with TLS is known; None for one without.
    """

    def __init__(
        self, number: int, port: int, key: str, secret: str, library: str = "pusher-js", cafile: Path | None = None
    ) -> None:
        command, folder = LIBRARIES[library]
        # An address as the server's name, which these tests use, is what Node warns of.
        trusted = {
            "NODE_EXTRA_CA_CERTS": str(cafile),
            "WEBSOCKET_CLIENT_CA_BUNDLE": str(cafile),
            "NODE_NO_WARNINGS": "1",
        }
        every = {"rooms": len(rooms(number)), "port": port, "key": key, "secret": secret, "library": library}
        self._processes = [
            subprocess.Popen(
                [*command, json.dumps({**every, "first": first, "count": count, "tls": cafile is not None})],
                cwd=folder,
                env=os.environ | (trusted if cafile else {}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for first, count in _shares(number)
        ]
        assert [_line(process) for process in self._processes] == ["up\n"] * len(self._processes)

    def out(self) -> int:
        """How many are not subscribed now."""
        return sum(int(answer) for answer in self._ask("out"))

    def times(self) -> int:
        """How often each of them has been subscribed, at least."""
        return min(int(answer) for answer in self._ask("times"))

    def leave(self) -> list[dict[str, Any]]:
        diaries: list[dict[str, Any]] = [diary for answer in self._ask("end") for diary in json.loads(answer)]
        for process in self._processes:
            process.wait(30)
        return diaries

    def end(self) -> None:
        """Without a word of theirs."""
        for process in self._processes:
            process.kill()
            process.communicate()

    def _ask(self, word: str) -> list[str]:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{word}\n")
            process.stdin.flush()
        return [_line(process) for process in self._processes]


def rooms(clients: int) -> list[str]:
    """The channels of a crowd."""
    return [f"presence-room-{number}" for number in range(-(-clients // ROOM))]


def _shares(number: int) -> list[tuple[int, int]]:
    """The number of the first client of each process, and how many it has."""
    return [(first, min(CLIENTS_OF_A_PROCESS, number - first)) for first in range(0, number, CLIENTS_OF_A_PROCESS)]


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


class Repeated:
    """Calls something so many times a second in a thread."""

    def __init__(self, rate: float, call: Callable[[], None]) -> None:
        self._rate = rate
        self._call = call
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Repeated:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / self._rate, time.monotonic() - 1)
            self._call()


@dataclass(frozen=True)
class Published:
    """An event: its channels, and when it was sent and answered."""

    channels: set[str]
    began: float
    ended: float


class Publisher:
    """Numbered events, each on a connection of its own as most back ends make them."""

    def __init__(self, channels: list[str], port: int, key: str, secret: str, cafile: Path | None = None) -> None:
        self._port, self._key, self._secret = port, key, secret
        self._number, self._in_turn = len(channels), itertools.cycle(channels)
        self._tls = ssl.create_default_context(cafile=cafile) if cafile else None
        self.published: list[Published] = []
        self.refused: list[str] = []

    def __call__(self) -> None:
        number, began = len(self.published), time.time()
        channels = list(itertools.islice(self._in_turn, min(CHANNELS_OF_A_PUBLISH, self._number)))
        body = json.dumps({"name": "tick", "channels": channels, "data": str(number)}).encode()
        query = signed_query(self._key, self._secret, "POST", "/apps/1/events", body)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        if self._tls is not None:
            connection = http.client.HTTPSConnection("127.0.0.1", self._port, timeout=10, context=self._tls)
        try:
            connection.request(
                "POST", "/apps/1/events?" + "&".join(f"{name}={value}" for name, value in query.items()), body
            )
            status = connection.getresponse().status
            if status != 200:
                self.refused.append(str(status))
        except (OSError, http.client.HTTPException) as error:
            self.refused.append(repr(error))
        finally:
            connection.close()
        self.published.append(Published(set(channels), began, time.time()))


class Caller:
    """Connects, and wants an answer."""

    def __init__(self, port: int, cafile: Path | None = None) -> None:
        self._port = port
        self._tls = ssl.create_default_context(cafile=cafile) if cafile else None
        self.answered = 0
        self.refused: list[str] = []

    def __call__(self) -> None:
        try:
            with (
                socket.create_connection(("127.0.0.1", self._port), timeout=10) as plain,
                self._wrapped(plain) as connection,
            ):
                connection.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                if not connection.recv(64).startswith(b"HTTP/1.1 200"):
                    raise OSError("no answer")
            self.answered += 1
        except OSError as error:
            self.refused.append(repr(error))

    def _wrapped(self, plain: socket.socket) -> socket.socket:
        return plain if self._tls is None else self._tls.wrap_socket(plain, server_hostname="127.0.0.1")


@dataclass(frozen=True)
class Seen:
    """What the clients saw: seconds out of a subscription, events lost while subscribed, and attempts to connect.

    :ivar skipped: of the lost, those before one that came: nothing but a fault explains them.

    An event is lost when a later one came in the same subscription, or when it was published well before the client
    was told of the end.
    """

    clients: int
    out: list[float]
    lost: int
    skipped: int
    between: int
    most_attempts: int
    never_back: int

    @classmethod
    def of(cls, diaries: list[dict[str, Any]], published: list[Published]) -> Seen:
        out: list[float] = []
        lost = skipped = between = attempts = never_back = 0
        for diary in diaries:
            spans = _subscribed(diary)
            out += [after[0] - before[1] for before, after in itertools.pairwise(spans)]
            never_back += spans[-1][1] != float("inf")
            attempts = max(attempts, diary["attempts"])
            heard = {number: event for number, event in enumerate(published) if diary["channel"] in event.channels}
            got = {number for _, number in diary["got"]}
            before, after = _due(diary["got"], spans, heard)
            skipped += len(before - got)
            lost += len((before | after) - got)
            between += len(heard.keys() - got - before - after)
        return cls(len(diaries), out, lost, skipped, between, attempts, never_back)

    def __str__(self) -> str:
        worst = f"{max(self.out):.2f}" if self.out else "-"
        median = f"{statistics.median(self.out):.2f}" if self.out else "-"
        return (
            f"{self.clients} clients, {len(self.out)} times out: median {median} s, worst {worst} s;"
            f" {self.never_back} not back; lost while subscribed {self.lost} ({self.skipped} before one that came),"
            f" published between {self.between};"
            f" most attempts {self.most_attempts}"
        )


def _due(
    got: list[tuple[float, int]], spans: list[tuple[float, float]], heard: dict[int, Published]
) -> tuple[set[int], set[int]]:
    """The events of its channel that had to come to a client that was subscribed in these spans.

    Those before the last that came in a span; and those after it, well before the end. A client that waits for a
    processor is told of the end as late as it gets events, so it is granted the delay of the last one on top.
    """
    before: set[int] = set()
    after: set[int] = set()
    for start, end in spans:
        at, last = max(((at, number) for at, number in got if start <= at <= end), default=(0.0, -1))
        behind = max(0.0, at - heard[last].ended) if last >= 0 else 0.0
        sure = end - ON_ITS_WAY_S - behind
        ends = {number: event.ended for number, event in heard.items() if event.began > start}
        before |= {number for number in ends if number < last}
        after |= {number for number, ended in ends.items() if number > last and ended < sure}
    return before, after


def _subscribed(diary: dict[str, Any]) -> list[tuple[float, float]]:
    """From when to when it was subscribed."""
    ends = [at for at, state in diary["states"] if state not in ("connected", "initialized")]
    spans = []
    for start in diary["subscribed"]:
        spans.append((start, min((end for end in ends if end > start), default=float("inf"))))
    return spans
