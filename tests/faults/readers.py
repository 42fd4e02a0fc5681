"""`python -m tests.faults.readers PORT KEY COUNT ADDRESS`: so many subscribers of one channel in a process.

Says "up" once all are subscribed. Each line that comes is answered in JSON: `heard` with the number that comes next to
the last of them and what went wrong, `delays` with how long events took since it was asked last, `deaf N` stops reading
the sockets of N of them for good, `ended` counts those of them whose socket the engine has reset.
"""

from __future__ import annotations

import json
import select
import sys
import time

from tests.crowd.clients import COMING, PATIENCE_S, Ear
from tests.faults.numbers import percentile
from tests.support.reset import is_reset


class Reader(Ear):
    """Events are `NUMBER TIME filling`, by time.monotonic(). :ivar delays: seconds until one was here."""

    __slots__ = ("delays",)

    def __init__(self, port: int, address: str, key: bytes) -> None:
        super().__init__(port, address, key, narrow=True)
        self.delays: list[float] = []

    def on_event(self, data: str) -> None:
        number, sent, _ = data.split(" ", 2)
        super().on_event(number)
        self.delays.append(time.monotonic() - float(sent))


class Readers:
    """:ivar lost: whose connections ended though they read."""

    def __init__(self) -> None:
        self._reading: dict[int, Reader] = {}
        self._deaf: list[Reader] = []
        self._poll = select.epoll()
        self.lost = 0

    def come(self, port: int, key: bytes, count: int, address: str) -> None:
        for _ in range(count):
            while sum(not reader.live for reader in list(self._reading.values())[-COMING:]) == COMING:
                self.listen(1)
            reader = Reader(port, address, key)
            self._reading[reader.socket.fileno()] = reader
            self._poll.register(reader.socket, select.EPOLLIN)
            self.listen(0)
        while not all(reader.live for reader in self._reading.values()):
            self.listen(1)
        self._poll.register(sys.stdin, select.EPOLLIN)

    def listen(self, timeout_s: float) -> bool:
        """Whether a line waits."""
        asked = False
        for number, _ in self._poll.poll(timeout_s):
            if number == sys.stdin.fileno():
                asked = True
            elif not self._reading[number].hear():
                self.lost += 1
                self._poll.unregister(number)
        return asked

    def answer(self, line: str) -> object:
        match line.split():
            case ["heard"]:
                return self._heard()
            case ["delays"]:
                return self._delays()
            case ["deaf", count]:
                return self._stop_reading(int(count))
            case ["ended"]:
                return sum(is_reset(reader.socket.fileno()) for reader in self._deaf)
        raise AssertionError(f"nobody knows what {line!r} means")

    def _heard(self) -> dict[str, int]:
        readers = self._reading.values()
        wrong = sum(reader.wrong for reader in readers)
        return {"next": min(reader.next or 0 for reader in readers), "wrong": wrong, "lost": self.lost}

    def _delays(self) -> dict[str, float]:
        delays = [delay for reader in self._reading.values() for delay in reader.delays]
        for reader in self._reading.values():
            reader.delays.clear()
        return {"p99": percentile(delays, 0.99), "longest": max(delays, default=0.0)}

    def _stop_reading(self, count: int) -> int:
        for number in list(self._reading)[:count]:
            self._poll.unregister(number)
            self._deaf.append(self._reading.pop(number))
        return len(self._deaf)


def main(port: int, key: str, count: int, address: str) -> None:
    readers = Readers()
    readers.come(port, key.encode(), count, address)
    print("up", flush=True)
    while True:
        if readers.listen(PATIENCE_S):
            if not (line := sys.stdin.readline()):
                return
            print(json.dumps(readers.answer(line)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
