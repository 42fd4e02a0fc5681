"""The three forms of a configuration file: what they come to, and what is told of one that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.config.loading import yaml_file
from engine.config.loading.config_file import read
from engine.config.loading.load import load
from engine.errors import ConfigError

JSON = """{"port": 7001, "cors": {"origin": ["*"]}, "app_manager": {"array": {"apps": [
  {"id": "1", "key": "k", "secret": "s", "enabled": false}]}}, "metrics": {"enabled": true}, "logging": {}}"""
TOML = """
port = 7001
[cors]
origin = ["*"]
[[app_manager.array.apps]]
id = "1"
key = "k"
secret = "s"
enabled = false
[metrics]
enabled = true
[logging]
"""
YAML = """
port: 7001
cors: {origin: ["*"]}
app_manager:
  array:
    apps:
      - id: "1"
        key: k
        secret: s
        enabled: false
metrics:
  enabled: true
logging: {}
"""


def _written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    "name, content",
    [("a.json", JSON), ("a.toml", TOML), ("a.yaml", YAML), ("a.yml", YAML), ("a.TOML", TOML), ("a.conf", JSON)],
)
def test_the_ending_says_the_form(tmp_path: Path, name: str, content: str) -> None:
    path = _written(tmp_path, name, content)
    assert read(path) == read(_written(tmp_path, "other.json", JSON))
    assert load(path, {}, 1).config.app_manager.array.apps[0].key == "k"


def test_variables_stand_in_every_form(tmp_path: Path) -> None:
    for name, content in (("a.toml", 'host = "${HERE}"'), ("a.yaml", "host: ${HERE}")):
        assert load(_written(tmp_path, name, content), {"HERE": "127.0.0.9"}, 1).config.host == "127.0.0.9"


@pytest.mark.parametrize(
    "written, value",
    [
        ("007", "007"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("2026-07-01", "2026-07-01"),
        ("0x1f", "0x1f"),
        ("+5", "+5"),
        ("1e3", "1e3"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("7", 7),
        ("-7", -7),
        ("0.9", 0.9),
        ("true", True),
        ("~", None),
        ("", None),
    ],
)
def test_yaml_turns_no_text_into_something_else(tmp_path: Path, written: str, value: Any) -> None:
    """A key or secret that looks like an octal number, a time or a truth value of YAML 1.1 stays as it is."""
    assert read(_written(tmp_path, "a.yaml", f"secret: {written}")) == {"secret": value}


def test_yaml_may_repeat_itself_by_aliases(tmp_path: Path) -> None:
    document = read(_written(tmp_path, "a.yaml", "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: *a\n"))
    assert document == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("a.toml", "port = = 1", "line 1, column 8: not valid TOML: Invalid value"),
        ("a.toml", "port = 1\nport = 2", "not valid TOML: Cannot overwrite a value"),
        ("a.json", '{"a": 1, "a": 2}', 'the key "a" is given twice in one object'),
        ("a.json", "[]", "must hold a JSON object, {...}"),
        ("a.yaml", "a: 1\nb: [1", "line 3, column 1: not valid YAML: "),
        ("a.yaml", "a: 1\nb:\n  c: 1\n  c: 2\n", 'line 4, column 3: the key "c" is given twice in one object'),
        ("a.yaml", "1: a", "line 1, column 1: a key that is not text; put it into quotes"),
        ("a.yaml", "? [a]\n: b", "line 1, column 3: a key that is not text; put it into quotes"),
        ("a.yaml", "a: &a\n  b: *a", "line 1, column 4: is part of itself"),
        ("a.yaml", "a: !!python/name:os.system x", "not valid YAML: could not determine a constructor"),
        ("a.yaml", "", "must hold a YAML object, {...}"),
        ("a.yaml", "a\0b", "not valid YAML: "),
        ("a.yaml", "a: 1\n---\nb: 2", "line 2, column 1: not valid YAML: but found another document"),
    ],
)
def test_what_is_told_of_a_file_that_cannot_be_read(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = _written(tmp_path, name, content)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value).startswith(f"config file {path}: ")
    assert told in str(caught.value)


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_file, "MAX_YAML_NODES", 1000)
    lines = ["a0: &a0 [x, x, x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]" for n in range(1, 12))]
    with pytest.raises(ConfigError, match="its aliases come to more than 1000 values"):
        read(_written(tmp_path, "a.yaml", "\n".join(lines)))
