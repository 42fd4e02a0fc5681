"""`python -m engine doctor`: each trouble that can be made here is found, and named with its remedy."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from engine.__main__ import main
from engine._fast.signature import Signer
from engine.app import App
from engine.cli import doctor_machine, doctor_redis, doctor_road
from engine.cli.finding import Finding
from engine.config.redis import RedisOptions
from engine.config.root import Config
from engine.machine.memory import Memory
from engine.redis.suitability import Ground
from engine.supervisor.commands import CommandSocket
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import free_port

GROUND = Ground("p:{0}:", ("p:",), "p#")
APP = App("1", "key", "a-secret-of-ours", Signer("a-secret-of-ours"))


def levels(found: list[Finding]) -> list[str]:
    return [finding.level for finding in found]


def complained(found: Finding, *words: str) -> bool:
    """It is no good news, has a remedy, and names these."""
    text = f"{found.message} {found.remedy}"
    return found.level in ("problem", "warning") and bool(found.remedy) and all(word in text for word in words)


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


# --- the road


class Road:
    """A server that says what it is told to say, where an engine would be."""

    def __init__(self) -> None:
        self.ready = 200
        self.date = ""
        self.first: dict[str, Any] = {
            "event": "pusher:connection_established",
            "data": json.dumps({"socket_id": "1.1", "activity_timeout": 1}),
        }
        self.upgrade = True
        self.published = 200
        self.delivers = True
        self.pings = True
        self._socket: web.WebSocketResponse | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/ready":
            return web.Response(status=self.ready, headers={"Date": self.date} if self.date else {})
        if request.method == "POST":
            if self.delivers and self._socket is not None:
                await self._socket.send_json({"event": "doctor", "data": "{}"})
                if self.pings:
                    await self._socket.send_json({"event": "pusher:ping"})
                else:
                    await self._socket.close()
            return web.Response(status=self.published, text="{}")
        if not self.upgrade:
            return web.Response(status=426)
        self._socket = connection = web.WebSocketResponse()
        await connection.prepare(request)
        await connection.send_json(self.first)
        async for _ in connection:
            await connection.send_json({"event": "pusher_internal:subscription_succeeded"})
        return connection


@pytest.fixture
async def road() -> AsyncIterator[tuple[Road, str]]:
    stage = Road()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", stage.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield stage, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def walked(url: str, *, idle: bool = False) -> list[Finding]:
    return [finding async for finding in doctor_road.walk(APP, url, (url, None), idle=idle)]


async def test_a_good_road(road: tuple[Road, str]) -> None:
    found = await walked(road[1])
    assert levels(found) == ["ok", "ok", "ok", "ok", "ok", "skipped"]
    assert [finding.check for finding in found] == ["name", "health", "clock", "websocket", "publish", "silence"]


@pytest.mark.parametrize(
    ("what", "value", "check", "words"),
    [
        ("ready", 503, "health", ["503", "log"]),
        ("ready", 302, "health", ["302", "redirect"]),
        ("ready", 500, "health", ["500", "path prefix"]),
        ("ready", 502, "health", ["502", "does not reach the engine"]),
        ("date", "Fri, 27 Nov 2020 12:00:00 GMT", "clock", ["behind", "chrony"]),
        ("upgrade", False, "websocket", ["426", "proxy_set_header Upgrade"]),
        ("first", {"event": "pusher:error", "data": {"code": 4001}}, "websocket", ["4001", "another configuration"]),
        ("first", {"event": "pusher:error", "data": {"code": 4003}}, "websocket", ["4003", "apps enable"]),
        ("published", 401, "publish", ["401", "secret", "clock"]),
        ("published", 413, "publish", ["413", "client_max_body_size"]),
        ("published", 404, "publish", ["404", "POST /apps"]),
        ("delivers", False, "publish", ["did not reach", "one Redis"]),
    ],
)
async def test_what_is_wrong_on_the_road_is_named(
    road: tuple[Road, str], monkeypatch: pytest.MonkeyPatch, what: str, value: Any, check: str, words: list[str]
) -> None:
    if what == "delivers":
        monkeypatch.setattr(doctor_road, "STEP_TIMEOUT_S", 0.5)
        monkeypatch.setattr(doctor_road._next, "__defaults__", (0.5,))
    setattr(road[0], what, value)
    (problem,) = [finding for finding in await walked(road[1]) if finding.level == "problem"]
    assert problem.check == check
    assert complained(problem, *words)


async def test_a_page_of_balancers_that_is_not_shown_to_clients_is_no_problem(road: tuple[Road, str]) -> None:
    road[0].ready = 404
    found = await walked(road[1])
    assert complained(found[1], "404", "balancers", "path prefix")
    assert levels(found) == ["ok", "warning", "ok", "ok", "ok", "skipped"]


async def test_what_cuts_silent_connections_is_named(road: tuple[Road, str]) -> None:
    assert (await walked(road[1], idle=True))[-1].level == "ok"
    road[0].pings = False
    found = (await walked(road[1], idle=True))[-1]
    assert (found.check, found.level) == ("silence", "problem")
    assert complained(found, "proxy_read_timeout")


async def test_addresses_that_lead_nowhere() -> None:
    (found,) = await walked("http://no.such.host.invalid")
    assert complained(found, "no.such.host.invalid", "DNS")
    found = (await walked(f"http://127.0.0.1:{free_port()}"))[-1]
    assert complained(found, "cannot be reached", "firewall")


async def test_tls_that_is_none(road: tuple[Road, str]) -> None:
    found = (await walked(road[1].replace("http", "https")))[1]
    assert complained(found, "no handshake", "ssl")


# --- the command


def run(capsys: pytest.CaptureFixture[str], folder: Path, url: str) -> tuple[int, list[dict[str, Any]]]:
    app = {"id": "1", "key": "key", "secret": APP.secret, "webhooks": [{"url": url, "event_types": ["cache_miss"]}]}
    config = {
        "host": "127.0.0.1",
        "port": free_port(),
        "metrics": {"host": "127.0.0.1", "port": free_port()},
        "app_manager": {"array": {"apps": [app]}},
        "database": {"redis": {"embedded": {"data_dir": str(folder)}}},
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
