"""`python -m engine trace`: shows, line by line, what the workers of this machine's engine do with what is followed.

Gives them a socket that they write to, and reads it; what other nodes say comes on it too (`other_nodes.py`). It stops
nothing when it ends.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from engine.cli.other_nodes import elsewhere
from engine.cli.running import EXIT_NOT_RUNNING, send_command
from engine.cli.text import complain
from engine.config.root import Config
from engine.log.escapes import one_line
from engine.machine.interrupts import heard
from engine.trace.follow import Follow, decode
from engine.trace.lines import MAX_LINE_BYTES, Line
from engine.trace.lines import decode as decode_line

#: Beyond the time of the trace, for the workers to end it.
SLACK_S = 5.0
#: So long before its time a trace does not end by itself.
EARLY_S = 1.0


def trace(config: Config, follow: Follow, *, as_json: bool, out: TextIO = sys.stdout) -> int:
    """Print lines until the time is up, or Ctrl-C; the exit status. Raises ConfigError for what cannot be followed."""
    decode(follow.encode())
    with elsewhere(config, follow) as (asked, join), followed(config, asked, join) as (status, lines):
        if status:
            return status
        begun_at = time.monotonic()
        try:
            with heard():
                for line in read(lines, follow.seconds + SLACK_S):
                    out.write(line.encode().decode() + "\n" if as_json else f"{_shown(line)}\n")
                    out.flush()
        except KeyboardInterrupt:
            return 0
        if (left_s := begun_at + follow.seconds - time.monotonic()) > EARLY_S:
            complain(f"engine: nobody follows it any more, {left_s:.0f} s before its time: the engine has ended")
            return EXIT_NOT_RUNNING
    return 0


@contextmanager
def followed(
    config: Config, follow: Follow, join: Callable[[socket.socket], None] = lambda _: None
) -> Iterator[tuple[int, socket.socket]]:
    """The status of the command, 0 when at least one worker follows, and the socket on which lines come.

    :param join: given a socket on which other nodes' lines may come too, once this node follows.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            status = send_command(config, ["trace", follow.encode()], sys.stderr, theirs.fileno())
            if status == 0:
                join(theirs)
        yield status, ours


def read(lines: socket.socket, timeout_s: float) -> Iterator[Line]:
    """Until every worker has ended the trace, or after so long."""
    ends_at = time.monotonic() + timeout_s
    while (left_s := ends_at - time.monotonic()) > 0:
        lines.settimeout(left_s)
        try:
            datagram = lines.recv(MAX_LINE_BYTES)
        except TimeoutError:
            return
        if not datagram:
            return
        yield decode_line(datagram)


def _shown(line: Line) -> str:
    ms = int(line.time_s * 1000) % 1000
    clock = time.strftime("%H:%M:%S", time.localtime(line.time_s))
    node = f"{one_line(line.node)} " if line.node else ""
    worker = "" if line.worker is None else f"worker {line.worker} "
    return f"{clock}.{ms:03} {node}{worker}{line.stage:10} {one_line(line.text)}"
