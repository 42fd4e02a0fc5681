"""`python -m engine capacity`: what is asked for, and what is answered."""

from __future__ import annotations

import json

import pytest

from engine.__main__ import main


def test_it_answers_with_nodes_redis_and_what_is_full_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--connections", "1e6", "--publishes", "5e3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    shares = [float(line.split("%")[0]) for line in lines if "%  " in line]
    assert len(shares) == 6 and shares == sorted(shares, reverse=True)
    heads = [line.split()[0] for line in lines if line and not line.startswith(" ")]
    assert heads == ["nodes", "workers", "memory", "network", "Redis", "first", "from"]
    assert "measured" in lines[-1]


def test_scripts_get_an_object(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--connections", "2e5", "--cores", "4", "--subscribers", "3", "--publishes", "100", "--json"]
    assert main(["capacity", *asked]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["workers"] == told["nodes"] * 4
    assert told["load"]["connections"] == 200_000
    assert told["first"] in told["shares"]


def test_one_redis_that_is_not_enough_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--connections", "1e5", "--publishes", "5e4", "--subscribers", "2"]) == 0
    assert "a Redis Cluster of some" in capsys.readouterr().out
    assert main(["capacity", "--connections", "1e3", "--webhooks", "1e5"]) == 0
    assert "one worker sends all webhooks" in capsys.readouterr().out
    # Below all of it, and above what is to be used.
    assert main(["capacity", "--connections", "1e3", "--webhooks", "1e5", "--json"]) == 0
    whole = json.loads(capsys.readouterr().out)["shares"]["the core of the worker that sends webhooks"]
    assert main(["capacity", "--connections", "1e3", "--webhooks", f"{0.8 * 1e5 / whole:.0f}"]) == 0
    assert "one worker sends all webhooks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (["--connections", "0"], "--connections must be more than 0"),
        (["--connections", "10", "--use", "0"], "--use must be more than 0"),
        (["--connections", "10", "--use", "200"], "--use is at most 100"),
        (
            ["--connections", "1e9", "--publishes", "1e9", "--subscribers", "1e9"],
            "do not carry it: workers' cores would",
        ),
        (
            ["--connections", "10", "--publishes", "1", "--subscribers", "11"],
            "--subscribers is at most --connections, 10",
        ),
        (
            ["--connections", "10", "--channels", "31"],
            "--channels is at most --connections × --joins-per-connection, 30",
        ),
        (["--connections", "10", "--memory-gib", "0.1"], "8 workers take"),
        (["--connections", "10", "--memory-gib", "4", "--use", "2"], "0.08 GiB of a node are to be used"),
    ],
)
def test_what_cannot_be_is_told(asked: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", *asked]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("asked", [[], ["--connections", "many"], ["--connections", "-1"], ["--connections", "nan"]])
def test_misuse(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["capacity", *asked])
    assert ended.value.code == 2
    assert "--connections" in capsys.readouterr().err
