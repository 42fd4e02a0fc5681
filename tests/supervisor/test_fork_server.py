"""Processes that the fork server makes, and what becomes of them when it, or the supervisor, is gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.supervisor.fork_server_process import ForkServer
from tests.supervisor.forked import MANY

ROOT = Path(__file__).resolve().parents[2]


class Play:
    """:ivar found: what was told, each under its name. :ivar names: in their order. :ivar errors: what was logged."""

    def __init__(self, *words: str) -> None:
        # Until nobody has the pipe any more: neither the supervisor, nor the fork servers, nor a child.
        done = subprocess.run(
            [sys.executable, "-m", "tests.supervisor.forked", *words],
            check=False,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.status, self.errors = done.returncode, done.stderr
        self.told = [name for line in done.stdout.splitlines() for name in json.loads(line)]
        self.found: dict[str, Any] = {}
        for line in done.stdout.splitlines():
            self.found |= json.loads(line)


@pytest.fixture(scope="module")
def play() -> Play:
    return Play()


@pytest.mark.parametrize("how", ["forked", "many", "again"])
def test_a_child_is_as_if_started_anew(play: Play, how: str) -> None:
    seen = play.found[how]
    assert seen["parent"] == play.found["supervisor"]
    assert seen["words"] == ["tell", str(seen["words"][1])]
    assert seen["fds"] == seen["given"], "its own descriptors, under their numbers, and no other"
    assert seen["session"]
    assert seen["input"] == "/dev/null"
    assert seen["line"] == "engine.child 7"
    assert seen["default"] == [True, True, True]
    assert seen["hung up"]
    assert seen["blocked"] == []
    assert seen["status"] == 3
    assert seen["imported by"] not in (seen["pid"], play.found["supervisor"]), "it found its program imported"


def test_more_descriptors_than_fit_into_a_message(play: Play) -> None:
    assert len(play.found["many"]["fds"]) == MANY


def test_how_a_child_ends_is_seen(play: Play) -> None:
    assert (play.found["fail"], play.found["leave"]) == (1, 4)
    assert "RuntimeError: as any program may" in play.errors


def test_nothing_of_the_supervisor_is_in_a_child(play: Play) -> None:
    assert play.found["held"] == ""
    assert play.told.count("supervisor") == play.told.count("at exit") == 1


def test_a_fork_server_that_ended_is_begun_again(play: Play) -> None:
    assert "the process that forks it" in play.found["refused"]
    assert "beginning it again" in play.errors
    assert play.found["again"]["imported by"] != play.found["forked"]["imported by"]
    assert play.status == 0


def test_one_that_is_begun_as_a_program_is_out_of_the_reach_of_ctrl_c_from_its_first_moment() -> None:
    forks = ForkServer([], anew=True)
    try:
        assert forks._process is not None
        assert os.getsid(forks._process.pid) == forks._process.pid
    finally:
        forks.stop()


def test_a_killed_supervisor_leaves_none_that_does_not_know() -> None:
    play = Play("killed")
    assert play.status == -9
    assert "alone" in play.found, "its child has heard of it"
    assert "at exit" not in play.found
