"""`restart`, `rebalance` and `trace`: a command for the engine that runs with this configuration on this machine.

Only sends the command and prints the answer; what it does is decided in `supervisor/commands.py`.
"""

from __future__ import annotations

import socket
import sys
from typing import TextIO

from engine.cli.text import complain
from engine.config.addresses import command_address
from engine.config.root import Config
from engine.log.escapes import one_line

#: Between two lines of the answer: a worker may take a while to start and its clients to go.
TIMEOUT_S = 600.0
EXIT_NOT_RUNNING = 1


def send_command(config: Config, words: list[str], out: TextIO = sys.stdout, fd: int | None = None) -> int:
    """Print what it answers; returns the status that it gives. :param fd: a descriptor that goes with it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(TIMEOUT_S)
        try:
            connection.connect(command_address(config))
            socket.send_fds(connection, [" ".join(words).encode()], [] if fd is None else [fd])
            with connection.makefile("r", errors="backslashreplace") as lines:
                for line in lines:
                    if line.rstrip().isdecimal():
                        return int(line)
                    # Any program of this machine can have taken the address, while no engine runs.
                    out.write(f"{one_line(line.rstrip()[1:])}\n")
                    out.flush()
        except ConnectionRefusedError:
            complain(f"engine: nobody serves port {config.port} with this configuration here, as this user")
            return EXIT_NOT_RUNNING
        except OSError as error:
            complain(f"engine: {error}")
            return EXIT_NOT_RUNNING
    complain("engine: the engine went away before it was done; its log says why")
    return EXIT_NOT_RUNNING
