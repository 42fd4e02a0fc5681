"""`python -m engine trace` when its engine goes away, and through Redis when that does, or nobody reads the lines."""

from __future__ import annotations

import io
import socket
import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from redis import Redis

from engine.cli import other_nodes
from engine.cli.other_nodes import elsewhere
from engine.cli.running import EXIT_NOT_RUNNING, send_command
from engine.cli.trace import read, trace
from engine.config.addresses import command_address
from engine.config.root import Config
from engine.supervisor.commands import CommandSocket
from engine.trace.follow import Follow, decode
from engine.trace.lines import LOST, Line
from tests.support.valkey import ValkeyServer
from tests.support.waiting import free_port, wait_until

FOLLOW = Follow(channel="room", seconds=60)


def test_an_engine_that_ends_before_the_time_is_up_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(port=free_port())
    commands = CommandSocket(config)

    def serve() -> None:
        request = commands.accept()
        assert request is not None and request.lines is not None
        request.lines.send(Line(0.0, 0, "state", "known\x1b[2J", "other\u202e:1").encode())
        # The last who could tell anything.
        request.end(0)

    server = threading.Thread(target=serve)
    server.start()
    out = io.StringIO()
    assert trace(config, FOLLOW, as_json=False, out=out) == 1
    server.join()
    commands.close()
    assert out.getvalue().endswith(" other\\u202e:1 worker 0 state      known\\x1b[2J\n")
    assert "60 s before its time: the engine has ended" in capsys.readouterr().err


def test_another_program_at_the_address_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    config = Config(port=free_port())
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(command_address(config))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b" \x1b]0;evil\x07\xff\nnonsense\n")

        server = threading.Thread(target=serve)
        server.start()
        out = io.StringIO()
        assert send_command(config, ["restart"], out) == EXIT_NOT_RUNNING
        server.join()
    assert out.getvalue().splitlines()[0] == "\\x1b]0;evil\\x07\\xff"
    assert "went away" in capsys.readouterr().err


class Others:
    """A worker of another node, as far as Redis shows it."""

    def __init__(self, server: ValkeyServer, prefix: str) -> None:
        self.server = server
        self.config = Config.model_validate(
            {
                "database": {"redis": {"url": f"unix://{server.socket}", "key_prefix": f"{prefix}:"}},
                "adapter": {"redis": {"prefix": f"{prefix}#"}},
            }
        )
        self.topic = f"{prefix}#trace"

    def asked(self, client: Redis) -> Follow:
        """By the next request."""
        with client.pubsub(ignore_subscribe_messages=True) as heard:
            heard.subscribe(self.topic)
            found: list[str] = []

            def look() -> bool:
                message = heard.get_message(timeout=0.01)
                found.extend([message["data"].decode()] if message else [])
                return bool(found)

            wait_until(look, what="a request")
        return decode(found[0])

    def told(self, client: Redis, follow: Follow, text: str) -> None:
        answers = f"{self.topic}:{follow.id}"
        line = Line(0.0, 0, "written", text, "other:1").encode()
        wait_until(lambda: client.publish(answers, line) == 1, what="the command hears")


@pytest.fixture
def others(monkeypatch: pytest.MonkeyPatch) -> Iterator[Others]:
    monkeypatch.setattr(other_nodes, "ASK_AGAIN_S", 0.01)
    monkeypatch.setattr(other_nodes, "RETRY_S", 0.01)
    with ValkeyServer() as server:
        yield Others(server, f"trace-{uuid4().hex}")


def test_nodes_that_share_nothing_are_not_asked(others: Others) -> None:
    alone = others.config.model_copy(update={"adapter": others.config.adapter.model_copy(update={"driver": "local"})})
    with elsewhere(alone, FOLLOW) as (asked, _):
        assert asked == FOLLOW


def test_lines_of_other_nodes_that_nobody_reads_are_counted(others: Others) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    lost: list[Line] = []
    with ours, theirs, others.server.client() as client, elsewhere(others.config, FOLLOW) as (asked, join):
        join(theirs)
        assert others.asked(client).id == asked.id
        for number in range(100):
            others.told(client, asked, str(number))
        told: list[Line] = []
        # Until one comes through again.
        while not (told and int(told[-1].text) >= 100):
            number += 1
            others.told(client, asked, str(number))
            heard = list(read(ours, 0.05))
            told += [line for line in heard if line.stage != LOST]
            lost += [line for line in heard if line.stage == LOST]
    missing = sum(int(line.text.partition(" ")[0]) for line in lost)
    assert missing > 0
    assert missing + len(told) == int(told[-1].text) + 1
    assert {line.worker for line in lost} == {None}


def test_workers_that_come_later_are_asked_too_and_so_are_all_after_an_outage(
    others: Others, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, elsewhere(others.config, FOLLOW) as (asked, join):
        join(theirs)
        with others.server.client() as client:
            for _ in range(2):
                again = others.asked(client)
                assert again.id == asked.id
                assert 1 <= again.seconds <= FOLLOW.seconds
        others.server.kill()
        others.server.start()
        with others.server.client() as client:
            assert others.asked(client).id == asked.id
            others.told(client, asked, "back again")
        assert next(read(ours, 5.0)).text == "back again"
    said = capsys.readouterr().err
    assert said.count("other nodes are not followed: ") == 1
    assert said.endswith("other nodes are followed again\n")
