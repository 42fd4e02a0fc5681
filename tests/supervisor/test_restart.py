"""A restart in which no new process can be started, or none comes up: who serves goes on, and is not sent away."""

from __future__ import annotations

import logging
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import pytest

from engine.config.loading.load import load
from engine.control import Beat, Order, Phase, WorkerSpec, receive_word, send_beat
from engine.metrics.metrics import Metrics
from engine.supervisor import restart as restart_module
from engine.supervisor.crew import Crew
from engine.supervisor.handover import Handover
from engine.supervisor.restart import Restart
from engine.supervisor.rollout import ConfigRollout
from engine.supervisor.service_manager import ServiceManager
from engine.supervisor.worker_process import WorkerProcess
from tests.support.waiting import wait_until

#: As much of a worker as the supervisor hears: it serves, until nobody listens to it.
WORKER = """#!{python}
import json, socket, sys
control = socket.socket(fileno=int(sys.argv[7]))
control.send(json.dumps({{"ready": True, "incarnation": "new", "spec": 1}}).encode())
while control.recv(4096):
    pass
"""


class Interpreters:
    """In the fork server's place: a new program for each process."""

    starting = False

    def look_after(self) -> None:
        """There is nothing that could end."""

    def start(
        self, module: str, name: str, title: str, words: Sequence[object], fds: Sequence[int]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", module, *map(str, words)], pass_fds=fds)


class Node:
    """A supervisor's parts with one worker, whose end of the control socket is `worker`."""

    def __init__(self) -> None:
        loaded = load(None, {}, 2)
        self.selector = selectors.DefaultSelector()
        rollout = ConfigRollout(WorkerSpec(loaded, None, 1, ""), Metrics())
        self.crew = Crew([[]], Interpreters(), rollout, self.selector, Metrics(), None, lambda place: None)
        mine, self.worker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.worker.setblocking(False)
        self.process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        self.old = WorkerProcess(self.process, mine, 0, 0, 1)
        self.old.ready = True
        self.crew.adopt(self.old)
        self.restart = Restart(self.crew, loaded.config, self.given, self.never, ServiceManager(), shared_state=True)

    @staticmethod
    def given() -> Handover:
        return Handover([[]], False, "", "", -1, None, None, [])

    @staticmethod
    def never(_: Handover) -> NoReturn:
        raise AssertionError("what cannot be started replaces nothing")

    def step(self) -> None:
        """One turn of the supervisor's loop."""
        self.crew.look_after()
        self.restart.step()
        for key, _ in self.selector.select(0):
            key.data()

    def close(self) -> None:
        self.crew.kill()
        for process in self.crew.processes:
            process.close()
        self.worker.close()
        self.selector.close()
        assert self.process.stdin is not None
        self.process.stdin.close()


@pytest.fixture
def node() -> Iterator[Node]:
    with closing(Node()) as made:
        yield made


@pytest.fixture
def no_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As after an upgrade that took it away."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone"))


def test_a_worker_asked_to_end_serves_until_another_does(
    node: Node, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(restart_module, "AGAIN_MIN_S", 0.0)
    node.restart._again_s = 0.0
    script = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(script))
    send_beat(node.worker, Beat(True, "old", 1, asked=True))
    for reason in ("No such file", "ended with status 3"):
        wait_until(lambda: (node.step(), reason in caplog.text)[1])  # noqa: B023
        assert node.crew.slots[0].process is node.old
        assert not node.crew.leaving
        assert receive_word(node.worker) is None, "it is told nothing before there is somewhere to go"
        script.write_text("#!/bin/sh\nexit 3\n")
        script.chmod(0o755)
    assert "successor is tried again" in caplog.text
    script.unlink()
    script.write_text(WORKER.format(python=node.process.args[0]))  # type: ignore[index]
    script.chmod(0o755)
    wait_until(lambda: (node.step(), node.crew.leaving)[1])
    order = receive_word(node.worker)
    assert isinstance(order, Order)
    assert order.phase == Phase.GONE
    assert node.crew.slots[0].process is not node.old


def test_attempts_for_those_asked_become_rare(
    node: Node, no_interpreter: None, caplog: pytest.LogCaptureFixture
) -> None:
    send_beat(node.worker, Beat(True, "old", 1, asked=True))
    for _ in range(100):
        node.step()
    assert caplog.text.count("cannot be started") == 1


def test_a_restart_that_cannot_be_tried_is_refused(
    node: Node, no_interpreter: None, caplog: pytest.LogCaptureFixture
) -> None:
    node.restart.begin(None)
    assert not node.restart.busy
    assert "the new program cannot be started" in caplog.text
    assert node.crew.slots[0].process is node.old


def test_a_dead_worker_that_cannot_be_replaced_now_is_later(
    node: Node, no_interpreter: None, caplog: pytest.LogCaptureFixture
) -> None:
    node.process.kill()
    wait_until(lambda: (node.step(), "cannot be started" in caplog.text)[1])
    for _ in range(100):
        node.step()
    assert caplog.text.count("cannot be started") <= 2
    assert node.crew.slots[0].process is None
