"""`python -m tests.crowd.clients PORT COUNT ADDRESS`: so many clients of one channel in a process of their own.

Says "up" once all are subscribed. Each line that comes is answered with what they have heard by then; they are gone
when the process is killed.
"""

from __future__ import annotations

import json
import select
import socket
import sys

from tests.hostile.attacks import HANDSHAKE, KEY, message

CHANNEL = "crowd"
#: What nothing takes as long as, even on a busy machine.
PATIENCE_S = 120.0
#: Who have not become subscribers yet, at one time.
COMING = 50
#: As over Ethernet. Over the loopback the kernel takes 5 MB at both ends for a client that does not read, before
#: anything waits for it in the engine.
NARROW_SEGMENT, NARROW_BUFFER = 1400, 65536


class Ear:
    """One client. :param narrow: whether it is connected as over a network, so that little is on its way.

    :ivar live: it is subscribed. :ivar next: the number that must come now, None before the first.
    :ivar wrong: numbers that came instead."""

    __slots__ = ("buffer", "live", "next", "socket", "wrong")

    def __init__(self, port: int, address: str, key: bytes = KEY, narrow: bool = False) -> None:
        self.buffer = b""
        self.live = False
        self.next: int | None = None
        self.wrong = 0
        self.socket = socket.socket()
        self.socket.settimeout(PATIENCE_S)
        if narrow:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, NARROW_SEGMENT)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NARROW_BUFFER)
        self.socket.bind((address, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(HANDSHAKE % key + message("pusher:subscribe", {"channel": CHANNEL}))

    def hear(self) -> bool:
        """Read what is there; whether the connection still is."""
        data = self.socket.recv(65536)
        self.buffer += data
        while (frame := self._frame()) is not None:
            if frame.startswith(b'{"event":"e"'):
                self.on_event(json.loads(frame)["data"])
            elif b"subscription_succeeded" in frame:
                self.live = True
            elif b"pusher:ping" in frame:
                self.socket.sendall(message("pusher:pong", {}))
        return bool(data)

    def on_event(self, data: str) -> None:
        number = int(data)
        self.wrong += self.next is not None and number != self.next
        self.next = number + 1

    def _frame(self) -> bytes | None:
        """Of the answer to the handshake nothing but its end is looked for."""
        if self.buffer.startswith(b"HTTP"):
            head, end, rest = self.buffer.partition(b"\r\n\r\n")
            if not end:
                return None
            assert b" 101 " in head.split(b"\r\n")[0], head
            self.buffer = rest
        if len(self.buffer) < 4:
            return None
        size, at = self.buffer[1], 2
        if size == 126:
            size, at = int.from_bytes(self.buffer[2:4]), 4
        if len(self.buffer) < at + size:
            return None
        frame, self.buffer = self.buffer[at : at + size], self.buffer[at + size :]
        return frame


def main(port: int, count: int, address: str) -> None:
    ears: dict[int, Ear] = {}
    waiting = select.epoll()
    lost = 0

    def listen(timeout_s: float) -> bool:
        nonlocal lost
        asked = False
        for number, _ in waiting.poll(timeout_s):
            if number == sys.stdin.fileno():
                asked = True
            elif not ears[number].hear():
                lost += 1
                waiting.unregister(number)
        return asked

    for _ in range(count):
        while sum(not ear.live for ear in list(ears.values())[-COMING:]) == COMING:
            listen(1)
        ear = Ear(port, address)
        ears[ear.socket.fileno()] = ear
        waiting.register(ear.socket, select.EPOLLIN)
        listen(0)
    while any(ear.next is None for ear in ears.values()):
        listen(1)
    waiting.register(sys.stdin, select.EPOLLIN)
    print("up", flush=True)
    while True:
        if listen(-1):
            if not sys.stdin.readline():
                return
            heard = [ear.next or 0 for ear in ears.values()]
            print(json.dumps([min(heard), max(heard), sum(ear.wrong for ear in ears.values()), lost]), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
