"""What systemd hears, on a socket such as it gives."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.supervisor.service_manager import ServiceManager


@pytest.fixture(params=["file", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        address = str(tmp_path / "notify") if request.param == "file" else f"@engine-test-{os.getpid()}"
        sock.bind(address.replace("@", "\0"))
        sock.setblocking(False)
        yield sock, address


def heard(sock: socket.socket) -> list[str]:
    found = []
    while True:
        try:
            found += sock.recv(4096).decode().split("\n")
        except BlockingIOError:
            return found


def test_the_states(systemd: tuple[socket.socket, str]) -> None:
    sock, address = systemd
    manager = ServiceManager({"NOTIFY_SOCKET": address})
    manager.ready()
    assert heard(sock) == ["READY=1"]
    manager.reloading()
    state, at = heard(sock)
    assert state == "RELOADING=1"
    assert at.startswith("MONOTONIC_USEC=")
    assert int(at.partition("=")[2]) > 0
    manager.stopping(12.5)
    assert heard(sock) == ["STOPPING=1", "EXTEND_TIMEOUT_USEC=12500000"]


def test_the_status_is_said_once_and_the_watchdog_in_time(systemd: tuple[socket.socket, str]) -> None:
    sock, address = systemd
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())})
    for _ in range(3):
        manager.tick("2 clients", starting=False)
    assert heard(sock) == ["WATCHDOG=1", "STATUS=2 clients"]
    manager.tick("starting", starting=True)
    assert heard(sock) == ["EXTEND_TIMEOUT_USEC=20000000", "STATUS=starting"]


def test_a_watchdog_of_somebody_else(systemd: tuple[socket.socket, str]) -> None:
    sock, address = systemd
    manager = ServiceManager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"})
    manager.tick("", starting=False)
    assert heard(sock) == []


def test_nobody_listens() -> None:
    ServiceManager({}).ready()
    ServiceManager({"NOTIFY_SOCKET": "/nowhere/at/all"}).ready()
