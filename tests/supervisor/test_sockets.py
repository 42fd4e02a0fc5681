"""Listening sockets: whose they are, what stands in their way, and what is left behind."""

from __future__ import annotations

import dataclasses
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ConfigError
from engine.supervisor.handover import Handover, api_address_of, check, state_of
from engine.supervisor.sockets import Ports, open_ports, paths_of
from tests.config.support import apps, loaded


@contextmanager
def opened(slots: int = 2, **document: Any) -> Iterator[Ports]:
    ports = open_ports(loaded({"host": "127.0.0.1", "port": 0, **document}).config, slots)
    try:
        yield ports
    finally:
        ports.close()
        ports.unlink()


def test_the_main_port_alone() -> None:
    with opened() as ports:
        (first,), (second,) = ports.slots
        assert first.sock.getsockname() == second.sock.getsockname()
        assert not (first.api or first.shared or first.kept or ports.kept)
        assert ports.api_where == []


def test_the_api_has_a_port_and_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with opened(http_api={"port": 0, "unix_socket": str(path), "unix_socket_mode": "600"}) as ports:
        for main, port, unix in ports.slots:
            assert (main.api, port.api, unix.api) == (False, True, True)
            assert (main.shared, port.shared, unix.shared) == (False, False, True)
        assert ports.slots[0][2].sock is ports.slots[1][2].sock
        assert ports.slots[0][1].sock is not ports.slots[1][1].sock
        number = ports.slots[0][1].sock.getsockname()[1]
        assert ports.slots[1][1].sock.getsockname()[1] == number
        assert ports.api_where == [f"http://127.0.0.1:{number}", f"unix:{path}"]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.exists()


def test_what_a_killed_engine_has_left_makes_way(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with opened(http_api={"unix_socket": str(path)}), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        with pytest.raises(ConfigError, match=r"http_api\.unix_socket: .* is in use by a running server"):
            open_ports(loaded({"port": 0, "http_api": {"unix_socket": str(path)}}).config, 1)


def test_nothing_but_a_socket_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    (tmp_path / "link").symlink_to(path)
    for name in ("precious", "link"):
        with (
            pytest.raises(ConfigError, match="is there already and is no socket"),
            opened(http_api={"unix_socket": str(tmp_path / name)}),
        ):
            pass
    assert path.read_text() == "data"


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    main, gone = tmp_path / "main.sock", tmp_path / "no-folder" / "api.sock"
    before = os.listdir("/proc/self/fd")
    with (
        pytest.raises(ConfigError, match=r"http_api\.unix_socket: .* cannot be used: No such file"),
        opened(unix_socket={"enabled": True, "path": str(main)}, http_api={"port": 0, "unix_socket": str(gone)}),
    ):
        pass
    assert not main.exists()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        with (
            pytest.raises(ConfigError, match=f"^http_api.port: {number} on 127.0.0.1 cannot be used"),
            opened(http_api={"port": number}),
        ):
            pass


@pytest.mark.parametrize("api", [{}, {"port": 8}, {"port": 7, "host": "::1"}, {"port": 7, "unix_socket": "/run/e"}])
def test_a_restart_cannot_change_the_address_of_the_api(api: dict[str, Any]) -> None:
    running, new = loaded({"http_api": {"port": 7}}), loaded({"http_api": api})
    handover = Handover([[3]], False, "", "", -1, None, None, state_of(running))
    handover.api_address = api_address_of(running.config)
    check(handover, running, 1)
    with pytest.raises(ConfigError, match="http_api: its own address has changed; that needs a stop and a start"):
        check(handover, new, 1)


def test_a_restart_serves_no_sample_application_instead() -> None:
    running, sample = loaded(apps({"secret": "a-secret-of-ours"})), loaded(apps({"secret": "app-secret"}))
    handover = Handover([[3]], False, "", "", -1, None, None, state_of(running), host="0.0.0.0", file="config.json")
    handover.api_address = api_address_of(running.config)
    check(handover, running, 1)
    with pytest.raises(ConfigError, match="a secret that everybody knows"):
        check(handover, sample, 1)
    with pytest.raises(ConfigError, match=r"config file config\.json: there is no such file"):
        check(handover, dataclasses.replace(running, file=None), 1)


def test_they_are_handed_on_as_they_are(tmp_path: Path) -> None:
    config = loaded({"http_api": {"port": 1, "unix_socket": str(tmp_path / "api.sock")}}).config
    with opened(http_api={"port": 0, "unix_socket": str(tmp_path / "api.sock")}) as ports:
        sockets = {mine.sock for slot in ports.slots for mine in slot}
        copies = {sock: os.dup(sock.fileno()) for sock in sockets}
        handover = Handover(
            listening=[[copies[mine.sock] for mine in slot] for slot in ports.slots],
            kept=True,
            where=ports.where,
            metrics_dir="",
            page=-1,
            log=None,
            valkey=None,
            state=[],
            api=[copies[mine.sock] for slot in ports.slots for mine in slot if mine.api],
            api_where=ports.api_where,
        )
        taken = handover.ports(config)
        try:
            assert [[(mine.api, mine.shared, mine.kept) for mine in slot] for slot in taken.slots] == [
                [(False, False, True), (True, False, False), (True, True, False)] for _ in range(2)
            ]
            assert (taken.where, taken.api_where, taken.kept) == (ports.where, ports.api_where, True)
            assert taken.paths == paths_of(config, kept=True) == [str(tmp_path / "api.sock")]
        finally:
            taken.close()
