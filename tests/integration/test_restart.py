"""A restart in place: other processes, the same port, and nobody out of it for longer than a reconnect."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engine.cli.trace import followed, read
from engine.config.loading.load import load
from engine.supervisor.crew import STUCK_S
from engine.trace.follow import Follow
from engine.trace.lines import GONE, Line
from tests.support.client import connected
from tests.support.engine import Engine, all_serve, command_line, is_ready, prepare, running
from tests.support.waiting import PATIENCE_S, free_port, wait_until

CLIENTS = 20


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running(workers=2, noise=re.compile(r"Traceback|CRITICAL|Exception ignored")) as started:
        wait_until(lambda: all_serve(started))
        yield started


class Callers:
    """Publishes, and connects, all the time; notes what was not answered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._over = threading.Event()
        self.answered = 0
        self.refused: list[str] = []
        self._threads = [threading.Thread(target=self._call, args=(call,)) for call in (self._publish, self._ask)]

    def __enter__(self) -> Callers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self, call: object) -> None:
        while not self._over.wait(0.01):
            try:
                assert callable(call)
                status = call()
            except OSError as error:
                self.refused.append(repr(error))
            else:
                self.refused += [str(status)] if status != 200 else []
                self.answered += 1

    def _publish(self) -> int:
        return self._engine.request("POST", "/events", {"name": "tick", "channels": ["room"], "data": "{}"}).status

    def _ask(self) -> int:
        return self._engine.raw("GET", "/live").status


async def test_the_port_stays_and_the_processes_change(engine: Engine) -> None:
    before, valkey = engine.workers(), _valkey(engine)
    counted = _shown(engine, "new_connections_total")
    async with AsyncExitStack() as stack:
        config = load(engine.config_path, {}, 2).config
        status, lines = stack.enter_context(followed(config, Follow(event="e")))
        assert status == 0
        clients = [await stack.enter_async_context(connected(engine.ws_url)) for _ in range(CLIENTS)]
        for client in clients:
            await client.subscribe("room")
        with Callers(engine) as callers:
            done = await asyncio.to_thread(engine.command, "restart")
            await asyncio.to_thread(wait_until, lambda: callers.answered > 10)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "every worker is new" in done.stdout
        assert not callers.refused
        assert {await client.wait_closed() for client in clients} == {4200}
        for client in clients:
            assert (await client.next("pusher:error"))["data"]["code"] == 4200
        assert engine.process.poll() is None
        assert not set(before) & set(engine.workers())
        assert _valkey(engine) == valkey
        assert len(engine.workers()) == 2
        assert _shown(engine, "new_connections_total") >= counted + CLIENTS
        assert engine.raw("GET", "/ready", port=engine.metrics_port).status == 200
        client = await stack.enter_async_context(connected(engine.ws_url))
        await client.subscribe("room")
        await asyncio.to_thread(engine.trigger, "room", "e")
        await client.next("e")
        told = await asyncio.to_thread(_told, lines)
    assert sum(line.stage == GONE for line in told) == 2


def test_a_program_that_cannot_serve_changes_nothing(engine: Engine) -> None:
    before, text = engine.processes(), engine.config_path.read_text()
    try:
        engine.config_path.write_text("{")
        # The command itself is to find the engine, by the port that it serves.
        own = engine.folder / "own.json"
        own.write_text(text)
        done = engine.command("restart", "--config", own)
        assert done.returncode == 1
        assert "not valid JSON" in done.stdout
        assert "what served before goes on" in done.stdout
        engine.config_path.write_text(json.dumps(json.loads(text) | {"database": {"redis": {"key_prefix": "other:"}}}))
        engine.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: "that needs a stop and a start" in engine.log(), 60)
    finally:
        engine.config_path.write_text(text)
    assert engine.processes() == before
    assert engine.request("GET", "/channels").status == 200


def test_workers_that_do_not_come_up_leave_the_old_ones(engine: Engine) -> None:
    before, text = engine.workers(), engine.config_path.read_text()
    away = {"database": {"postgres": {"host": "127.0.0.1", "port": free_port()}}}
    try:
        changed = json.loads(text) | away
        changed["app_manager"] = {"driver": "postgres"}
        engine.config_path.write_text(json.dumps(changed))
        done = engine.command("restart")
    finally:
        engine.config_path.write_text(text)
    assert done.returncode == 1, done.stdout
    assert "the new worker 0 ended with status" in done.stdout
    assert engine.workers() == before
    assert engine.raw("GET", "/ready").status == 200
    # With a file that can be used again, so can the restart.
    done = engine.command("restart")
    assert done.returncode == 0, done.stdout
    assert not set(engine.workers()) & set(before)


async def test_some_clients_are_sent_elsewhere(engine: Engine) -> None:
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connected(engine.ws_url)) for _ in range(CLIENTS)]
        # Workers say once a second how many clients they have, here and to the supervisor.
        await asyncio.to_thread(wait_until, lambda: _shown(engine, "connected") == CLIENTS)
        told = await asyncio.to_thread(engine.command, "rebalance", "--percent", "50")
        assert f"\n{CLIENTS // 2} clients" in f"\n{told.stdout}"
        await asyncio.to_thread(
            wait_until, lambda: sum(client.close_code is not None for client in clients) >= CLIENTS // 2
        )
        assert {client.close_code for client in clients} <= {4200, None}
    assert engine.command("rebalance", "--percent", "0").returncode == 2


def test_a_worker_that_does_not_answer_is_said_for_the_node(engine: Engine) -> None:
    stopped = engine.workers()[0]

    def node() -> tuple[int, bytes]:
        answer = engine.raw("GET", "/ready", port=engine.metrics_port)
        return answer.status, answer.body

    os.kill(stopped, signal.SIGSTOP)
    try:
        began = time.monotonic()
        wait_until(lambda: node()[0] == 503, 8)
        took_s = time.monotonic() - began
        assert b"does not answer" in node()[1]
        assert engine.raw("GET", "/live", port=engine.metrics_port).status == 200
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: node()[0] == 200)
    assert took_s < 6, "3 s, and some for a busy machine"


def test_a_host_that_stood_still_loses_no_worker(engine: Engine) -> None:
    """All of it, as a virtual machine that is moved; the supervisor goes on first and finds its workers silent."""
    engine.turn_page()
    supervisor, workers = engine.process.pid, engine.workers()
    for pid in (supervisor, *workers):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(STUCK_S + 0.5)
    turns = _turns(supervisor)
    os.kill(supervisor, signal.SIGCONT)
    try:
        wait_until(lambda: _turns(supervisor) > turns + 2)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    wait_until(lambda: is_ready(engine))
    assert engine.workers() == workers
    assert "stuck" not in engine.log()


def _turns(pid: int) -> int:
    """How often it has waited."""
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("voluntary"))
    return int(line.split()[1])


def test_a_worker_asked_to_end_has_a_successor_first(engine: Engine) -> None:
    before = engine.workers()
    os.kill(before[0], signal.SIGTERM)
    with Callers(engine) as callers:
        wait_until(lambda: before[0] not in engine.workers(), 60)
    assert not callers.refused
    assert before[1] in engine.workers()
    assert len(engine.workers()) == 2


def test_state_in_a_worker_s_memory_is_not_thrown_away() -> None:
    with running() as engine:
        done = engine.command("restart")
        assert done.returncode == 1
        assert "a single worker without Redis" in done.stdout
        assert engine.raw("GET", "/ready").status == 200
        # Asked itself, it ends and has a successor.
        (worker,) = engine.workers()
        os.kill(worker, signal.SIGTERM)
        wait_until(lambda: worker not in engine.workers() and engine.workers(), 60)


def test_nobody_to_tell(tmp_path: object) -> None:
    folder, config = prepare()
    done = command_line(folder, "restart")
    assert done.returncode == 1
    assert f"nobody serves port {config['port']}" in done.stderr


def test_the_port_is_closed_while_nobody_serves(engine: Engine) -> None:
    """Workers that end before they serve: connections are refused, not kept waiting."""
    engine.turn_page()

    def closed() -> bool:
        for worker in engine.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
        return "its share of the port is closed" in engine.log() and _refused(engine.port)

    wait_until(closed, 60)
    wait_until(lambda: is_ready(engine), 60)


def test_workers_outlive_what_forks_them(engine: Engine) -> None:
    """It is begun again, and a worker that dies then has a successor as ever."""
    # A worker that was forked a moment ago is called as the fork server still.
    wait_until(lambda: len(_forks(engine)) == 1 and len(engine.workers()) == 2)
    workers, forks = engine.workers(), _forks(engine)
    (forker,) = forks
    os.kill(forker, signal.SIGKILL)
    wait_until(lambda: _forks(engine) not in ([], forks), 60)
    assert engine.workers() == workers
    os.kill(workers[0], signal.SIGKILL)
    wait_until(lambda: workers[0] not in engine.workers() and len(engine.workers()) == 2, 60)
    wait_until(lambda: is_ready(engine), 60)


def _told(lines: socket.socket) -> list[Line]:
    """Up to a delivery."""
    told: list[Line] = []
    for line in read(lines, PATIENCE_S):
        told.append(line)
        if line.stage == "written":
            return told
    raise AssertionError(told)


def _forks(engine: Engine) -> list[int]:
    return [pid for pid, line in engine.processes().items() if "engine.fork_server" in line]


def _refused(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def _valkey(engine: Engine) -> list[int]:
    return [pid for pid, line in engine.processes().items() if "valkey" in line]


def _shown(engine: Engine, name: str) -> int:
    """A metric, of all applications together."""
    return sum(map(int, re.findall(rf"^sockudo_{name}\{{[^}}]*\}} (\d+)", engine.metrics(), re.M)))
