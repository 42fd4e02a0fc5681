"""The command line itself: help, exit statuses, and mistakes told in plain lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from engine.__main__ import main
from engine.cli.arguments import parser
from engine.cli.given import given
from engine.machine.cpus import usable_cpus
from tests.support.engine import ROOT


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No config.json of the project, and nothing of it in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT", "DEBUG", "REDIS_URL"):
        monkeypatch.delenv(name, raising=False)


def write(**config: Any) -> str:
    Path("some.json").write_text(json.dumps(config))
    return "some.json"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--help"], ["--workers N", "--config FILE", "trigger", "listen", "apps"]),
        (["trigger", "--help"], ["channel event data", "--app ID", "--url URL"]),
        (["listen", "--help"], ["--user-id"]),
    ],
)
def test_help(args: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    "args",
    [["--workers", "0"], ["--workers", "two"], ["--port", "65536"], ["trigger", "only-a-channel"], ["dance"]],
)
def test_misuse_is_told_with_status_2(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(args)
    assert ended.value.code == 2
    assert "usage: python -m engine" in capsys.readouterr().err


def test_a_reader_that_has_seen_enough_gets_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "engine", "config", "reference"]
    done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_the_file_that_was_read_first_is_the_one_that_is_read_again(tmp_path: Path) -> None:
    args = parser(lambda args: 0).parse_args([])
    assert given(args)[0] is None
    Path("config.json").write_text("{}")
    assert given(args)[0] == Path("config.json")
    Path("config.json").unlink()
    assert given(args)[0] == Path("config.json"), "without it another configuration would be served"


def test_every_mistake_of_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    config = {
        "prot": 6001,
        "port": "many",
        "adapter": {"driver": "pigeon"},
        "webhooks": {"settle_ms": -1},
        "app_manager": {
            "array": {"apps": [{"id": "1", "key": "", "secret": "s3cr3t", "webhooks": [{"url": "ftp://x"}]}]}
        },
    }
    done = subprocess.run(
        [sys.executable, "-m", "engine", "--config", write(**config)],
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert all(line.startswith("engine: ") for line in lines)
    told = (
        "prot",
        "port",
        "adapter.driver",
        "webhooks.settle_ms",
        "apps[0].key",
        "apps[0].webhooks[0].url",
        "event_types",
    )
    for key in told:
        assert any(key in line for line in lines), f"{key} is missing in {lines}"
    assert any("prot" in line and "port" in line for line in lines), "an unknown key comes with a suggestion"
    assert "Traceback" not in done.stderr
    assert "s3cr3t" not in done.stderr


@pytest.mark.parametrize("command", [[], ["apps"], ["trigger", "a", "b", "c"], ["listen", "a"]])
def test_missing_file(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", "nowhere.json", *command]) == 2
    assert "nowhere.json" in capsys.readouterr().err


def test_option_before_and_after_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    path = write(app_manager={"array": {"apps": [{"id": "77", "key": "k77", "secret": "hush"}]}})
    for args in (["--config", path, "apps"], ["apps", "--config", path]):
        assert main(args) == 0
        assert "k77" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["config", "show"], ["webhooks", "retry", "--all"], ["apps", "remove", "1"]])
def test_it_may_stand_behind_an_action_too(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--config", "nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, found",
    [
        ("apps add shop --key k max_connections=5", {"app": "shop", "key": "k", "options": ["max_connections=5"]}),
        ("apps add --key k shop a=1 --secret s b=2", {"app": "shop", "secret": "s", "options": ["a=1", "b=2"]}),
        ("apps set shop --config c.json a=1", {"app": "shop", "config": Path("c.json"), "options": ["a=1"]}),
        ("apps rotate shop --finish", {"app": "shop", "finish": True}),
        ("listen news --user-id ada sport", {"channels": ["news", "sport"], "user_id": "ada"}),
        ("webhooks retry one --config c.json two", {"ids": ["one", "two"], "config": Path("c.json")}),
        ("config convert -o ours.json theirs.json", {"file": Path("theirs.json"), "output": Path("ours.json")}),
        ("trigger news --app 1 hello -", {"channel": "news", "event": "hello", "data": "-", "app": "1"}),
        ("trigger news hello -- --5", {"channel": "news", "event": "hello", "data": "--5"}),
    ],
)
def test_words_and_options_come_in_any_order(words: str, found: dict[str, Any]) -> None:
    args = vars(parser(lambda args: 0).parse_args(words.split()))
    assert {name: args[name] for name in found} == found


def test_config_json_is_read_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    Path(write(app_manager={"array": {"apps": [{"id": "77", "key": "k77", "secret": "hush"}]}})).rename("config.json")
    assert main(["apps"]) == 0
    assert "k77" in capsys.readouterr().out


def test_workers_may_be_left_to_the_machine() -> None:
    assert parser(lambda args: 0).parse_args(["--workers", "auto"]).workers == usable_cpus()


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"engine {metadata.version('engine')}\n"


def test_ctrl_c_ends_a_command_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("engine.cli.apps.show_apps", interrupted)
    assert main(["--config", write(), "apps"]) == 130
