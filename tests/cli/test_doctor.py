"""`python -m engine doctor`: each trouble that can be made here is found, and named with its remedy."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.__main__ import main
from engine._fast.signature import Signer
from engine.app import App
from engine.cli import doctor, doctor_machine, doctor_redis
from engine.cli.finding import Finding, print_findings
from engine.config.redis import RedisOptions
from engine.config.root import Config
from engine.machine.memory import Memory
from engine.redis.suitability import Ground
from engine.supervisor.commands import CommandSocket
from tests.support.findings import APP, complained, levels
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import free_port

GROUND = Ground("p:{0}:", ("p:",), "p#")


# --- the machine


def test_open_files() -> None:
    assert doctor_machine.files(1 << 20).level == "ok"
    assert doctor_machine.files(4096).level == "warning"
    assert complained(doctor_machine.files(512), "512", "LimitNOFILE")
    assert doctor_machine.files(512).level == "problem"


def test_the_limit_of_open_files_is_that_of_the_engine_that_runs() -> None:
    assert doctor_machine.files_limit(0) == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with subprocess.Popen(["sleep", "60"]) as other:
        resource.prlimit(other.pid, resource.RLIMIT_NOFILE, (700, 800))
        assert doctor_machine.files_limit(other.pid) == 700
        other.kill()


def test_the_kernels_queues_and_tables(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "netfilter").mkdir()
    assert list(doctor_machine.kernel(4096, tmp_path)) == []
    (tmp_path / "core" / "somaxconn").write_text("128\n")
    (tmp_path / "netfilter" / "nf_conntrack_count").write_text("900\n")
    (tmp_path / "netfilter" / "nf_conntrack_max").write_text("1000\n")
    queue, table = doctor_machine.kernel(4096, tmp_path)
    assert complained(queue, "128", "net.core.somaxconn=4096")
    assert complained(table, "900 of 1000", "nf_conntrack_max=4000")
    (tmp_path / "core" / "somaxconn").write_text("4096\n")
    (tmp_path / "netfilter" / "nf_conntrack_count").write_text("9\n")
    assert levels(list(doctor_machine.kernel(4096, tmp_path))) == ["ok"]


def test_memory() -> None:
    gib = 2**30
    assert doctor_machine.room(Memory(4 * gib, 2 * gib)).level == "ok"
    assert doctor_machine.room(Memory(gib // 8, gib // 16)).level == "warning"
    assert complained(doctor_machine.room(Memory(gib, gib // 20)), "95", "more")


def test_ports() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = Config.model_validate({"host": "127.0.0.1", "port": port, "metrics": {"host": "no.such.host.invalid"}})
        console = {"host": "127.0.0.1", "port": port, "password": "p" * 12}
        config = config.model_copy(update={"console": config.console.model_copy(update=console)})
        main_port, metrics, page = doctor_machine.ports(config, running=False)
        assert page.check == "console.port"
        assert complained(page, str(port), "another program")
        assert complained(main_port, str(port), "another program")
        assert metrics.level == "problem"
        assert levels(list(doctor_machine.ports(config, running=True))) == ["ok", "ok", "ok"]
    free = Config.model_validate({"host": "127.0.0.1", "port": free_port(), "metrics": {"enabled": False}})
    assert levels(list(doctor_machine.ports(free, running=False))) == ["ok"]
    assert doctor_machine.engine_of(free) == 0
    commands = CommandSocket(free)
    assert doctor_machine.engine_of(free) == os.getpid()
    commands.close()


def test_ports_are_tried_where_they_will_be_listened_to() -> None:
    number = free_port()
    config = Config.model_validate(
        {
            "host": "127.0.0.1",
            "port": free_port(),
            "metrics": {"enabled": False},
            "http_api": {"host": "127.0.0.2", "port": number},
            "console": {"password": "p" * 12, "port": 0},
        }
    )
    with socket.create_server(("127.0.0.2", number)) as taken:
        main_port, api = doctor_machine.ports(config, running=False)
        assert (main_port.level, api.check) == ("ok", "http_api.port")
        assert complained(api, f"{number} on 127.0.0.2", "another program")
        # What a server that has ended leaves behind for a minute keeps no other one out.
        with socket.create_connection(("127.0.0.2", number)):
            taken.accept()[0].close()
    assert levels(list(doctor_machine.ports(config, running=False))) == ["ok", "ok"]


def test_certificates_that_expire() -> None:
    now_s, day_s = 1_700_000_000.0, 86_400
    assert doctor_machine.expiry("tls", now_s + 90 * day_s, now_s) == Finding("ok", "tls", "valid for 90 days")
    assert complained(doctor_machine.expiry("tls", now_s + 3 * day_s, now_s), "3 days", "SIGHUP")
    assert doctor_machine.expiry("tls", now_s - day_s, now_s).level == "problem"
    assert list(doctor_machine.certificate(None)) == []


def test_secrets_that_everybody_knows() -> None:
    known = App("7", "key", "app-secret", Signer("app-secret"))
    local, open_to_all = Config(host="127.0.0.1"), Config(host="0.0.0.0")
    assert doctor_machine.secrets(open_to_all, [APP], public=True).level == "ok"
    assert doctor_machine.secrets(local, [APP, known], public=False).level == "warning"
    for config, public in ((local, True), (open_to_all, False)):
        found = doctor_machine.secrets(config, [APP, known], public=public)
        assert found.level == "problem"
        assert complained(found, "application 7", "token_hex")
        assert "app-secret" not in f"{found.message}{found.remedy}"
    api = Config.model_validate({"host": "127.0.0.1", "http_api": {"host": "0.0.0.0", "port": 6002}})
    assert doctor_machine.secrets(api, [known], public=False).level == "problem"


def test_a_folder_for_the_embedded_valkey(tmp_path: Path) -> None:
    assert doctor_machine.writable(tmp_path / "new" / "data").level == "ok"
    (tmp_path / "file").touch()
    assert complained(doctor_machine.writable(tmp_path / "file" / "data"), "file", "data_dir")


# --- Redis


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer(["--client-output-buffer-limit", "pubsub 1mb 0 0"]) as started:
        yield started


def asked(server: ValkeyServer, **more: Any) -> list[Finding]:
    return list(doctor_redis.ask(RedisOptions(path=str(server.socket), **more), GROUND, queue=True))


def problems(found: list[Finding]) -> list[Finding]:
    return [finding for finding in found if finding.level == "problem"]


def test_a_redis_that_serves_has_no_problem_but_says_what_it_would_lose(server: ValkeyServer) -> None:
    found = asked(server)
    assert problems(found) == []
    assert any(complained(finding, "lost", "appendonly") for finding in found)
    assert any(complained(finding, "1024 KiB", "client-output-buffer-limit") for finding in found)
    with server.client() as client:
        assert all(0 < client.pttl(key) <= 60_000 for key in client.scan_iter())


@pytest.mark.parametrize(
    ("rights", "words"),
    [
        (["~q:*", "&*", "+@all"], ["may not use all keys", "~p:*"]),
        (["~*", "&*", "+@all", "-blmove"], ["may not run BLMOVE", "+@all"]),
        (["~*", "&p#*", "+@all", "-subscribe"], ["carries no events", "&p#*"]),
        (["~*", "resetchannels", "&other", "+@all"], ["carries no events", "&p#*"]),
    ],
)
def test_rights_that_lack_are_named(server: ValkeyServer, rights: list[str], words: list[str]) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "weak", "reset", "on", ">w", *rights)
    found = problems(asked(server, username="weak", password="w"))
    assert any(complained(finding, *words) for finding in found), found


def test_what_is_left_out_of_the_configuration_or_does_not_fit_is_named(server: ValkeyServer) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "weak", "reset", "on", ">w", "~*", "&*", "+@all", "-info")
    assert any(complained(finding, "+info") for finding in asked(server, username="weak", password="w"))
    (refused,) = asked(server, username="weak", password="x")
    assert complained(refused, "user name and password")
    (no_database,) = asked(server, db=99)
    assert complained(no_database, "DB index", "database.redis.db")
    with server.client() as client:
        client.config_set("requirepass", "pw")
        (locked,) = asked(server)
        client.config_set("requirepass", "")
    assert complained(locked, "wants a password", "database.redis.password")


def test_a_server_that_refuses_what_it_could_do_is_named_with_its_reason(server: ValkeyServer) -> None:
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        (problem,) = problems(asked(server))
        client.config_set("min-replicas-to-write", 0)
    assert complained(problem, "NOREPLICAS", "min-replicas-to-write")


def test_nobody_there() -> None:
    (found,) = doctor_redis.ask(RedisOptions(host="127.0.0.1", port=free_port()), GROUND, queue=True)
    assert found.level == "problem"
    assert complained(found, "does not serve", "is it running")


@pytest.mark.parametrize(
    ("info", "words"),
    [
        ({"redis_version": "5.0.7"}, ["5.0.7", "6.2"]),
        ({"redis_version": "7.2.4", "role": "slave"}, ["replica", "sentinels"]),
        ({"redis_version": "7.2.4", "cluster_enabled": 1}, ["node of a Redis Cluster", "cluster_nodes"]),
        (
            {"redis_version": "7.2.4", "maxmemory": 2**30, "maxmemory_policy": "allkeys-lru"},
            ["allkeys-lru", "noeviction"],
        ),
        ({"redis_version": "7.2.4", "maxmemory": 2**30, "used_memory": 2**30}, ["1024 MiB", "maxmemory"]),
    ],
)
def test_what_a_server_says_of_itself(info: dict[str, Any], words: list[str]) -> None:
    (problem,) = [found for found in doctor_redis.judge(info, cluster=False, queue=False) if found.level == "problem"]
    assert complained(problem, *words)


@pytest.mark.parametrize(
    "info",
    [
        {"redis_version": "7.2.4", "maxmemory": 0, "maxmemory_policy": "allkeys-lru"},
        {"redis_version": "7.2.4", "maxmemory": 2**30, "used_memory": 2**29, "maxmemory_policy": "noeviction"},
    ],
)
def test_what_does_no_harm_is_no_problem(info: dict[str, Any]) -> None:
    assert levels(list(doctor_redis.judge(info, cluster=False, queue=False))) == ["ok"]


def test_webhooks_that_wait_elsewhere_are_not_lost_with_redis(server: ValkeyServer) -> None:
    found = list(doctor_redis.ask(RedisOptions(path=str(server.socket)), GROUND, queue=False))
    assert not any("webhooks" in finding.message for finding in found)


@pytest.mark.parametrize(("took_ms", "level"), [(1.0, "ok"), (20.0, "warning"), (80.0, "problem")])
def test_a_server_that_is_far_away(took_ms: float, level: str) -> None:
    found = doctor_redis._latency(took_ms)
    assert found.level == level
    assert level == "ok" or complained(found, f"{took_ms} ms", "same zone")


@pytest.mark.parametrize(("ahead_s", "word"), [(60.0, "60 s ahead"), (-60.0, "60 s behind")])
def test_a_clock_that_differs(ahead_s: float, word: str) -> None:
    assert complained(doctor_redis._clock(ahead_s), word, "chrony")


def test_messages_that_go_to_another_server_are_missed(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_redis, "TIMEOUT_S", 0.2)
    with server.client() as heard, ValkeyServer() as other, other.client() as said:
        both = SimpleNamespace(pubsub=heard.pubsub, publish=said.publish)
        assert complained(doctor_redis._carries(both, "p#doctor", sharded=False), "not heard", "two servers")
        assert doctor_redis._carries(heard, "p#doctor", sharded=False).level == "ok"


# --- the command

APP_ENTRY = {"id": "1", "key": "key", "secret": APP.secret}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"unix_socket": {"enabled": True, "path": "/run/a.sock"}}, "Unix socket"),
        ({"proxy_protocol": {"enabled": True, "trusted": ["127.0.0.1"]}}, "PROXY protocol"),
        ({"proxy_protocol": {"enabled": True, "trusted": ["10.0.0.1"]}}, None),
        ({}, None),
    ],
)
def test_a_road_that_cannot_be_walked_from_here_is_not_tried(options: dict[str, Any], why: str | None) -> None:
    config = Config.model_validate(options)
    assert "no engine runs" in str(doctor._hindrance(config, running=False))
    found = doctor._hindrance(config, running=True)
    assert found is None if why is None else why in str(found)


def test_an_endpoint_that_may_not_be_asked_is_not_asked(
    receiver: WebhookReceiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, found = run(capsys, tmp_path, receiver.url, {"webhooks": {"allow_private_targets": False}})
    (hook,) = [entry for entry in found if entry["check"] == "webhook"]
    assert hook["level"] == "problem"
    assert receiver.requests == []


def test_what_was_found_commands_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    finding = Finding("problem", "health", "502 \x1b[2J", "ask \u202eit")
    assert print_findings([finding], as_json=False) == 1
    assert capsys.readouterr().out.splitlines() == [
        "problem  health: 502 \\x1b[2J",
        "         ask \\u202eit",
        "1 problem, 0 warnings",
    ]


def run(
    capsys: pytest.CaptureFixture[str], folder: Path, url: str, more: dict[str, Any] | None = None
) -> tuple[int, list[dict[str, Any]]]:
    app = APP_ENTRY | {"webhooks": [{"url": url, "event_types": ["cache_miss"]}]}
    config = {
        "host": "127.0.0.1",
        "port": free_port(),
        "metrics": {"host": "127.0.0.1", "port": free_port()},
        "app_manager": {"array": {"apps": [app]}},
        "database": {"redis": {"embedded": {"data_dir": str(folder)}}},
        **(more or {}),
    }
    (folder / "config.json").write_text(json.dumps(config))
    status = main(["doctor", "--config", str(folder / "config.json"), "--json"])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_endpoint_that_takes_any_signature_is_a_problem(
    receiver: WebhookReceiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, found = run(capsys, tmp_path, receiver.url)
    assert status == 1
    hooks = [entry for entry in found if entry["check"] == "webhook"]
    assert [entry["level"] for entry in hooks] == ["ok", "problem"]
    assert "X-Pusher-Signature" in hooks[1]["remedy"]
    assert [entry["check"] for entry in found if entry["level"] == "skipped"] == ["road"]
    good, bad = receiver.requests
    assert good.signed_with(APP.secret)
    assert not bad.signed_with(APP.secret)
    assert all(APP.secret not in json.dumps(entry) for entry in found)


def test_an_endpoint_that_fails_is_a_problem(
    receiver: WebhookReceiver, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    receiver.answer(500)
    status, found = run(capsys, tmp_path, receiver.url)
    assert status == 1
    (hook,) = [entry for entry in found if entry["check"] == "webhook"]
    assert hook["level"] == "problem"
    assert "500" in hook["message"]


WRONG = ["notaurl", "http://", "http://a:99999", "http://a:x", "http://[::1", "http://a?b=1", "http://a#b", "ftp://a"]


@pytest.mark.parametrize(
    ("words", "named"), [*((["--url", url], url) for url in WRONG), (["--app", "2"], "there are 1")]
)
def test_what_cannot_be_meant_is_refused_before_anything_is_looked_at(
    words: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apps = {"app_manager": {"array": {"apps": [{"id": "1", "key": "key", "secret": APP.secret}]}}}
    (tmp_path / "config.json").write_text(json.dumps(apps))
    assert main(["doctor", "--config", str(tmp_path / "config.json"), *words]) != 0
    said = capsys.readouterr()
    assert named in said.err
    assert not said.out
