"""`python -m engine`: serves, or hands a command to the command line's tools. No logic of theirs lives here."""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.machine.collector import resting
from engine.machine.interrupts import end_at_once

if TYPE_CHECKING:
    import argparse


def program() -> int:
    """All that a process does that was started as this program; its exit status."""
    # Before the imports, which take a while.
    end_at_once()
    with resting():
        importlib.import_module("engine.cli.command_line")
    return main()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, or serve; returns the exit status."""
    from engine.cli.command_line import run

    return run(argv, _serve)


def _serve(args: argparse.Namespace) -> int:
    from engine.cli.given import DEFAULT_FILES, loaded
    from engine.supervisor.terminal import Terminal

    path = args.config if args.config != DEFAULT_FILES[0] else None
    terminal = Terminal({"--config": path, "--host": args.host, "--port": args.port})
    # Before the file is read: one that comes too early must not end what has not begun.
    for number in (signal.SIGHUP, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    with resting():
        found = loaded(args)
        from engine.supervisor.handover import is_left, tried

        if tried(found, args.workers):
            return 0
        from engine.supervisor.sockets import open_ports

        ports = None if is_left() else open_ports(found.config, args.workers)
        from engine.supervisor.fork_server_process import ForkServer
        from engine.supervisor.supervisor import Supervisor

        forks = ForkServer.of(found.resolved)
    with forks:
        return Supervisor(found, args.workers, lambda: loaded(args), forks, ports, terminal).run()


if __name__ == "__main__":
    sys.exit(program())
