"""A process that has imported the engine, and forks for each one that a test starts: a sixth of the CPU of a program.

What runs is what `python -m engine` runs, in the folder, with the words, the environment and the log of the caller;
only the imports have been made before. The engine's own fork server does it, one for each process of the tests. A test
that is about the interpreter, its environment or its limits starts a program of its own (`engine.launch` decides).
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from unittest.mock import patch

from engine.supervisor.adopted import AdoptedChild
from engine.supervisor.fork_server_process import SUPERVISOR_WITH_REDIS, WORKER, WORKER_WITH_REDIS, ForkServer
from tests.support.waiting import wait_until

#: All that an engine without other drivers imports, its supervisor's, its workers' and the command line's.
PROGRAM, COMMAND_LINE = "engine.__main__", "engine.cli.command_line"
MODULES = ("engine.supervisor.supervisor", SUPERVISOR_WITH_REDIS, WORKER, WORKER_WITH_REDIS, PROGRAM, COMMAND_LINE)
START_TIMEOUT_S = 60.0


class Forked(AdoptedChild):
    """As much of `subprocess.Popen` as tests need of an engine."""

    @property
    def returncode(self) -> int | None:
        return self.poll()


def fork(
    python: str,
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    log: int,
    *,
    common: Mapping[str, str],
) -> Forked:
    """Start `python -m engine` with these words.

    :param log: descriptor for all that it writes. :param common: the environment in which engines are imported.
    """
    given = {"python": python, "words": [*words], "folder": str(folder), "environment": dict(environment)}
    title = " ".join(["-m", "engine", *words])
    child = _server(frozenset(common.items())).start(__name__, python, title, [json.dumps(given), log], [log])
    return Forked(child.pid)


def main(words: list[str]) -> int:
    """The forked engine. :param words: what `fork` was given."""
    given, log = json.loads(words[0]), int(words[1])
    for standard in (1, 2):
        os.dup2(log, standard)
    os.close(log)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(given["folder"])
    os.environ.clear()
    os.environ.update(given["environment"])
    program = [given["python"], "-m", "engine", *given["words"]]
    # With these a restart in place executes it.
    sys.executable, sys.orig_argv[:] = program[0], program
    return int(importlib.import_module(PROGRAM).main(given["words"]))


@cache
def _server(common: frozenset[tuple[str, str]]) -> ForkServer:
    """It ends with this process, of which the engines are children."""
    with patch.dict(os.environ, dict(common), clear=True):
        server = ForkServer([__name__, *MODULES], anew=True)
    atexit.register(server.stop)
    wait_until(lambda: not server.starting, START_TIMEOUT_S, "the engine is imported")
    return server
