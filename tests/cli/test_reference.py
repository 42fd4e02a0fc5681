"""The page of options and the schema for editors: current, and true of real files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.__main__ import main
from engine.cli.reference import schema

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = json.loads((ROOT / "config.json").read_text())


def test_the_page_of_the_documentation_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "reference"]) == 0
    printed = capsys.readouterr().out
    page = (ROOT / "docs" / "configuration.md").read_text()
    assert printed == page, "print it anew: python -m engine config reference > docs/configuration.md"
    assert "| `port`<br>`PORT` | `6001` | 0 to 65535 |" in page


def test_the_schema_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    "document",
    [
        SHIPPED,
        {"$schema": "engine.schema.json", "port": "${PORT:-7000}", "debug": "yes", "max_connections": None},
        {"app_manager": {"driver": "array", "array": {"apps": [{"id": 1, "key": "k", "secret": "s"}]}}},
        {"adapter": {"driver": None}, "database": {"redis": {"cluster_nodes": ["a:1", {"host": "b", "port": 2}]}}},
    ],
)
def test_an_editor_is_content_with_what_the_engine_takes(document: dict[str, Any]) -> None:
    jsonschema.validate(document, schema())


@pytest.mark.parametrize(
    "document",
    [
        {"prot": 6001},
        {"port": []},
        {"adapter": {"driver": "carrier-pigeon"}},
        {"app_manager": {"array": {"apps": [{"id": "a", "key": "k"}]}}},
    ],
)
def test_an_editor_marks_what_the_engine_refuses(document: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema())


def test_an_editor_can_explain_an_option() -> None:
    described = schema()["properties"]["activity_timeout"]["description"]
    assert "seconds of silence" in described.lower() and "Allowed: 1 to 86400" in described
