"""What an engine's first lines tell to try next can be pasted."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.supervisor.banner import hints


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
    first, *commands = hints(tmp_path / python, tmp_path / "clone").splitlines()
    assert first.startswith("try next")
    assert [line.split(" -m engine ")[0].strip() for line in commands] == [command.format(tmp_path)] * 3
    assert commands[-1].endswith(""" trigger test-channel test-event '{"message":"test"}'""")
