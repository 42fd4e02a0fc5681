"""What an engine's first lines tell to try next can be pasted."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from engine.cli.arguments import parser
from engine.supervisor.banner import hints
from engine.supervisor.terminal import Terminal


@pytest.mark.parametrize(
    ("python", "command"),
    [
        ("bin/python", "python"),
        ("clone/.venv/bin/python", ".venv/bin/python"),
        ("else where/python", "'{}/else where/python'"),
    ],
)
def test_commands_name_the_python_that_has_the_engine(
    python: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = tmp_path / "bin" / "python"
    on_path.parent.mkdir()
    on_path.touch(0o755)
    monkeypatch.setenv("PATH", str(on_path.parent))
    first, *commands = hints(tmp_path / python, tmp_path / "clone", []).splitlines()
    assert first.startswith("try next")
    assert [line.split(" -m engine ")[0].strip() for line in commands] == [command.format(tmp_path)] * 3
    assert commands[-1].endswith(""" trigger test-channel test-event '{"message":"test"}'""")


def test_commands_find_a_server_that_was_started_with_options(tmp_path: Path) -> None:
    """Of another file, or on another port: without these words they would ask for an application that is not there."""
    terminal = Terminal({"--config": Path("my settings.json"), "--host": None, "--port": 7000})
    for line in hints(tmp_path / "python", tmp_path, terminal.options).splitlines()[1:]:
        args = parser(lambda args: 0).parse_args(shlex.split(line)[3:])
        assert (args.config, args.port, args.host) == (Path("my settings.json"), 7000, None), line
