"""`python -m engine config check`, `config show` and `config convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main


def write(path: Path, value: Any) -> str:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return str(path)


@pytest.fixture(autouse=True)
def _nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOST", "PORT", "DEBUG", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def test_check_says_ok(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = {"id": "1", "key": "k", "secret": "s"}
    path = write(tmp_path / "good.json", {"app_manager": {"array": {"apps": [app]}}, "instance": {"process_id": 1}})
    assert main(["config", "check", path]) == 0
    told = capsys.readouterr()
    assert told.out == f"OK: {path}\n"
    assert "instance" in told.err


@pytest.mark.parametrize(
    ("content", "told"), [({"prot": 1}, "prot: unknown key"), ("{", "not valid JSON"), ({"port": "x"}, "port:")]
)
def test_check_names_the_mistakes(content: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", write(tmp_path / "bad.json", content)]) == 2
    output = capsys.readouterr()
    assert told in output.err
    assert output.out == ""


@pytest.mark.parametrize("words", [["FILE"], ["--config", "FILE"], ["FILE", "--config", "FILE"]])
@pytest.mark.parametrize("command", [["config", "check"], ["config", "show"], ["config", "convert"], ["doctor"]])
def test_a_file_is_named_alone_or_as_elsewhere(
    command: list[str], words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "some.json", "{")
    assert main([*command, *(path if word == "FILE" else word for word in words)]) == 2
    assert f"config file {path}: line 1" in capsys.readouterr().err
    assert main([*command, "one.json", "--config", "other.json"]) == 2
    assert "two files are named, one.json and other.json (--config)" in capsys.readouterr().err


def test_check_looks_at_what_a_start_would_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out == "OK: no file, the defaults and the environment\n"
    Path("config.toml").write_text("port = 7000")
    assert main(["--port", "7001", "config", "check"]) == 0
    assert capsys.readouterr().out == "OK: config.toml\n"
    assert main(["--port", "9601", "config", "check"]) == 2
    assert "metrics.port" in capsys.readouterr().err


def test_show_says_where_each_value_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    app = {"id": "1", "key": "k", "secret": "s3cret", "maxConnections": 7}
    hook = {"url": "https://a.example/", "event_types": ["cache_miss"], "headers": {"X-Token": "t0ken"}}
    path = write(tmp_path / "c.json", {"app_manager": {"array": {"apps": [app | {"webhooks": [hook]}]}}, "debug": True})
    monkeypatch.setenv("REDIS_URL", "redis://ada:pa55@redis.example/1")
    assert main(["--config", path, "--port", "7000", "config", "show"]) == 0
    shown = capsys.readouterr().out
    assert set(shown.splitlines()) >= {
        "port = 7000  # command line",
        f"debug = true  # {path}",
        'database.redis.url = "redis://***@redis.example/1"  # environment variable REDIS_URL',
        "metrics.port = 9601  # default",
        # Filled in by the engine, so nobody's wish.
        'host = "0.0.0.0"  # default',
        f'app_manager.array.apps[0].secret = "(secret)"  # {path}',
        f"app_manager.array.apps[0].max_connections = 7  # {path}, as app_manager.array.apps[0].maxConnections",
        f'app_manager.array.apps[0].webhooks[0].headers = "(secret)"  # {path}',
    }
    assert not [secret for secret in ("s3cret", "t0ken", "pa55") if secret in shown]


def test_show_can_be_read_by_a_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "c.json", {"cors": {"origin": ["https://a.example"]}})
    assert main(["--config", path, "config", "show", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"option": "cors.origin", "value": ["https://a.example"], "from": path} in lines
    assert all(set(line) == {"option", "value", "from"} for line in lines)


def test_a_configuration_that_cannot_be_used_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", write(tmp_path / "c.json", {"port": "x"}), "config", "show"]) == 2
    assert capsys.readouterr().out == ""


def test_convert_writes_a_file_that_passes_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apps = [{"id": "1", "key": "k", "secret": "s", "maxConnections": 100, "webhooks": []}]
    theirs = write(tmp_path / "soketi.json", {"port": 7001, "appManager.array.apps": apps, "cluster": {"port": 1}})
    ours = tmp_path / "config.json"
    assert main(["config", "convert", theirs, "-o", str(ours)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err == "not converted: cluster: has no counterpart; workers need no discovery\n"
    assert main(["config", "check", str(ours)]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == (f"OK: {ours}\n", "")
    assert json.loads(ours.read_text())["webhooks"]["signature_format"] == "hex"


def test_convert_writes_to_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "convert", write(tmp_path / "soketi.json", {"port": 7001})]) == 0
    assert json.loads(capsys.readouterr().out)["port"] == 7001


@pytest.mark.parametrize("content", ["{", "[]", {"appManager.array.apps": "{"}, {"appManager.array.apps": 7}])
def test_convert_refuses_what_is_none(content: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "convert", write(tmp_path / "soketi.json", content)]) == 2
    assert "soketi.json" in capsys.readouterr().err


@pytest.mark.parametrize("args", [["config"], ["config", "dance"], ["config", "check", "a.json", "b.json"]])
def test_misuse(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2
