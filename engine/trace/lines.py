"""The lines of a trace on their way from a worker to the command: one datagram each, never waited for.

What the command does not read in time is counted instead of kept, and so is more than so many a second; the line behind
the gap says how many are missing. No line is ever kept in a worker.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

#: Of one worker in one second.
MAX_LINES_PER_SECOND = 1000
#: A text is cut here; so is whatever names others chose.
MAX_TEXT = 1000
MAX_LINE_BYTES = 16 * 1024
#: The stage of the line that says how many are missing.
LOST = "lost"
#: Of the line that says that a worker has ended.
GONE = "gone"


@dataclass(frozen=True, slots=True)
class Line:
    """:ivar time_s: since the epoch, by the clock of the worker. :ivar stage: one word for how far it has come.
    :ivar worker: None where the command says it. :ivar node: host and port of another node; "" for this one.
    """

    time_s: float
    worker: int | None
    stage: str
    text: str
    node: str = ""

    def encode(self) -> bytes:
        return json.dumps(asdict(self), separators=(",", ":")).encode()


def decode(datagram: bytes) -> Line:
    """What `Line.encode` gave. Raises ValueError."""
    try:
        return Line(**json.loads(datagram))
    except TypeError as error:
        raise ValueError("no line of a trace") from error


class Sender:
    """:param connection: to the command; closed by `close`. :param worker: which of the node's this is, if it is one.
    :param node: as the lines name it.
    """

    def __init__(
        self, connection: socket.socket, worker: int | None, now_s: Callable[[], float] = time.time, node: str = ""
    ) -> None:
        self.connection = connection
        self.connection.setblocking(False)
        self._worker = worker
        self._node = node
        self._now_s = now_s
        self._second = 0
        self._sent = 0
        self._lost = 0
        #: The command has gone.
        self.gone = False

    def send(self, stage: str, text: str) -> None:
        """Send it, or count it as lost."""
        now_s = self._now_s()
        if int(now_s) != self._second:
            self._second, self._sent = int(now_s), 0
        if self._sent >= MAX_LINES_PER_SECOND:
            self._lost += 1
            return
        self._sent += 1
        self.relay(self._line(stage, text, now_s))

    def relay(self, line: bytes) -> None:
        """Send a line that somebody has made already, or count it as lost."""
        text = f"{self._lost} lines: too many came, or they were not read in time"
        if self._lost and self._put(self._line(LOST, text, self._now_s())):
            self._lost = 0
        if self._lost or not self._put(line):
            self._lost += 1

    def close(self) -> None:
        """Say what is missing, if that can be, and end."""
        if self._lost:
            self._put(self._line(LOST, f"{self._lost} lines", self._now_s()))
        self.connection.close()

    def _line(self, stage: str, text: str, now_s: float) -> bytes:
        return Line(now_s, self._worker, stage, text[:MAX_TEXT], self._node).encode()

    def _put(self, line: bytes) -> bool:
        try:
            self.connection.send(line)
        except BlockingIOError:
            return False
        except OSError:
            self.gone = True
            return False
        return True
