"""Ctrl-C before a program has its handlers: nobody wants to read where in its imports it was."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.machine.interrupts import end_at_once, heard
from tests.support.engine import basic_config, environment

#: The interpreter itself begins with it; it stops in the midst of an import, and says that it is there.
STOPPING = """
import os, sys, time

class Stopping:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["STOP_AT"]:
            print("here", flush=True)
            time.sleep(60)

sys.meta_path.insert(0, Stopping())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    "words, module",
    [
        ([], "engine.cli.command_line"),
        ([], "engine.worker.worker"),
        (["config", "check"], "engine.cli.config"),
        (["doctor"], "engine.cli.doctor"),
        (["listen", "news"], "engine.cli.listen"),
    ],
)
def test_a_program_that_is_still_being_imported_ends_without_a_word(
    words: list[str], module: str, number: signal.Signals, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(STOPPING)
    (tmp_path / "config.json").write_text(json.dumps(basic_config()))
    env = environment()
    env |= {"STOP_AT": module, "PYTHONPATH": os.pathsep.join([str(tmp_path), env.get("PYTHONPATH", "")])}
    with subprocess.Popen(
        [sys.executable, "-m", "engine", *words],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As from a terminal, where all of its processes get it.
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
            os.killpg(process.pid, number)
            assert process.communicate(timeout=30) == ("", "")
            # A shell has 130 and 143 of it.
            assert process.returncode == -number
        finally:
            process.kill()


@pytest.fixture
def handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("handler")
def test_it_is_heard_only_where_it_is_wanted() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_at_once()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    with pytest.raises(KeyboardInterrupt), heard():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL


@pytest.mark.usefixtures("handler")
def test_one_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_at_once()
    with heard():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
