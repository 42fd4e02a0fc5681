"""Commands that the operator gives to a running supervisor: `restart`, `rebalance`, `trace`.

They come over a Unix socket in the abstract name space, so that no file is left behind; only the user who runs the
engine, and root, are listened to. One line of words comes, lines for people go back, and last the status.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct

from engine.config.addresses import command_address
from engine.config.root import Config

#: For the words of a command, which are sent with the connection.
READ_TIMEOUT_S = 0.5
SEND_TIMEOUT_S = 0.5
MAX_WORDS_BYTES = 16 * 1024

_log = logging.getLogger(__name__)


class Request:
    """One command. :ivar words: what was said. :param lines: a socket that came with it; closed at the end."""

    def __init__(self, connection: socket.socket, words: list[str], lines: socket.socket | None = None) -> None:
        self._connection = connection
        self.words = words
        self.lines = lines
        connection.settimeout(SEND_TIMEOUT_S)

    @property
    def fd(self) -> int:
        return self._connection.fileno()

    def say(self, text: str) -> None:
        """Lines for the client of this command, if it still listens."""
        with contextlib.suppress(OSError):
            self._connection.sendall("".join(f" {line}\n" for line in text.splitlines()).encode())

    def end(self, status: int) -> None:
        """The last word. :param status: for the command to exit with."""
        with contextlib.suppress(OSError):
            self._connection.sendall(f"{status}\n".encode())
        self._connection.close()
        if self.lines is not None:
            self.lines.close()


class CommandSocket:
    """Listens from its construction on. Raises OSError when another engine has the name."""

    def __init__(self, config: Config) -> None:
        self.listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.listening.bind(command_address(config))
            self.listening.listen(8)
        except OSError:
            self.listening.close()
            raise

    def accept(self) -> Request | None:
        """The next command; None when the client has nothing to say, or no right to."""
        connection, _ = self.listening.accept()
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _, uid, _ = struct.unpack("3i", credentials)
        if uid in (0, os.getuid()):
            connection.settimeout(READ_TIMEOUT_S)
            with contextlib.suppress(OSError, UnicodeDecodeError):
                said, fds, _, _ = socket.recv_fds(connection, MAX_WORDS_BYTES, 1)
                lines = socket.socket(fileno=fds[0]) if fds else None
                if words := said.decode().split():
                    return Request(connection, words, lines)
        else:
            _log.warning("user %d may not give commands", uid)
        connection.close()
        return None

    def close(self) -> None:
        self.listening.close()
