"""docs/capacity.md shows the costs that the command answers from, and names the options that it has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.costs.page import PAGE, written
from engine.__main__ import main

COSTS = Path(__file__).resolve().parents[2] / "engine" / "cli" / "costs.json"


def test_its_tables_are_those_of_what_is_stored() -> None:
    text = PAGE.read_text()
    assert written(json.loads(COSTS.read_text()), text) == text


def test_its_options_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["capacity", "--help"])
    of_command = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE.read_text())) == of_command


def test_its_command_answers(capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = re.findall(r"^    python -m engine (capacity .*)$", PAGE.read_text(), re.M)
    assert main(command.split()) == 0
    assert "nodes" in capsys.readouterr().out
