"""Who may give commands to a running supervisor."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

import pytest

from engine.config.addresses import command_address
from engine.config.root import Config
from engine.supervisor.commands import CommandSocket
from tests.support.waiting import free_port

#: Becomes another user, gives a command, and says what it is answered.
STRANGER = """
import os, socket, sys
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as command:
    command.settimeout(10)
    command.connect("\\0" + sys.argv[1])
    command.sendall(b"restart")
    print(command.recv(100))
"""


def test_the_user_of_the_engine_does() -> None:
    config = Config(port=free_port())
    commands = CommandSocket(config)
    code = STRANGER.replace("os.setuid(65534)", "")
    with subprocess.Popen([sys.executable, "-c", code, command_address(config)[1:]], stdout=subprocess.PIPE) as user:
        request = commands.accept()
        assert request is not None and request.words == ["restart"]
        request.end(0)
        assert user.communicate(timeout=30)[0] == b"b'0\\n'\n"
    commands.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_nobody_else_does(caplog: pytest.LogCaptureFixture) -> None:
    config = Config(port=free_port())
    commands = CommandSocket(config)
    call = [sys.executable, "-c", STRANGER, command_address(config)[1:]]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as other:
        with caplog.at_level(logging.WARNING):
            assert commands.accept() is None
        answer = other.communicate(timeout=30)[0]
    commands.close()
    # Or its connection was reset before it could read.
    assert answer in (b"b''\n", b"")
    assert [record.getMessage() for record in caplog.records] == ["user 65534 may not give commands"]
