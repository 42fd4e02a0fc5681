"""Applications in a real PostgreSQL: what changes there is served within a second, and its absence ends nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

from tests.support.client import connected
from tests.support.databases import DatabaseServer, PostgresServer, database_server
from tests.support.engine import Engine, command_line, prepare, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until

TABLE = """CREATE TABLE IF NOT EXISTS applications (
    id VARCHAR(255) PRIMARY KEY, "key" VARCHAR(255), secret VARCHAR(255),
    enabled BOOLEAN, max_connections INTEGER, enable_client_messages BOOLEAN, webhooks JSONB)"""
ROW = "INSERT INTO applications (id, \"key\", secret) VALUES ('{0}', 'key-{0}', 'secret-{0}')"
WITHIN_S = 10.0
#: A row that cannot be used and a server that does not answer are told as errors.
NOISE = re.compile(r"Traceback|CRITICAL|ERROR +supervisor")


@pytest.fixture(scope="module")
def server() -> Iterator[DatabaseServer]:
    with database_server(PostgresServer) as started:
        yield started


@pytest.fixture
def database(server: DatabaseServer) -> DatabaseServer:
    """With the application ``steady`` and no other."""
    server.execute(TABLE, f"BEGIN; DELETE FROM applications; {ROW.format('steady')}; COMMIT")
    return server


@pytest.fixture(scope="module")
def shared_engine(server: DatabaseServer) -> Iterator[Callable[[int], Engine]]:
    """Gives the engine with so many workers, which reads the applications here as often as it does by default."""
    server.execute(TABLE)
    with ExitStack() as stack:
        yield cache(lambda workers: stack.enter_context(running(config(server), workers, noise=NOISE)))


@pytest.fixture
def engine(database: DatabaseServer, shared_engine: Callable[[int], Engine], request: pytest.FixtureRequest) -> Engine:
    """The shared engine with as many workers as the test says, when it knows ``steady`` and no other."""
    started = shared_engine(request.param)
    everywhere(started, "steady", 200)
    for app_id in ("2", "3", "4"):
        everywhere(started, app_id, 404)
    started.turn_page()
    return started


def workers(*numbers: int) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("engine", numbers, indirect=True)


def config(database: DatabaseServer, **app_manager: Any) -> dict[str, Any]:
    apps = {"driver": "postgres", "array": {"apps": []}, **app_manager}
    return {"app_manager": apps, "database": {"postgres": database.config()}}


def publish(engine: Engine, app_id: str) -> int:
    event = {"name": "e", "channels": ["room"], "data": "{}"}
    app = {"app_id": app_id, "key": f"key-{app_id}", "secret": f"secret-{app_id}"}
    return engine.request("POST", "/events", event, **app).status


def everywhere(engine: Engine, app_id: str, status: int) -> None:
    """Wait until whichever worker is asked says so: each connection may reach another one."""
    wait_until(lambda: {publish(engine, app_id) for _ in range(12)} == {status}, WITHIN_S, engine.log)


@workers(1, 2)
def test_changes_are_served_within_a_second(
    engine: Engine, database: DatabaseServer, receiver: WebhookReceiver
) -> None:
    hook = json.dumps([{"url": f"{receiver.url}/hook", "event_types": ["channel_occupied", "channel_vacated"]}])

    async def scenario() -> None:
        async with connected(engine.ws_url, "key-steady", "secret-steady") as steady:
            await steady.subscribe("room")
            took_s = []
            for app_id in ("2", "3", "4"):
                started = time.monotonic()
                await database.run(ROW.format(app_id))
                await asyncio.to_thread(everywhere, engine, app_id, 200)
                took_s.append(time.monotonic() - started)
            assert min(took_s) < 1.0, "the best of three, for a busy machine"
            async with connected(engine.ws_url, "key-2", "secret-2") as client:
                await database.run(f"UPDATE applications SET webhooks = '{hook}' WHERE id = '2'")
                await asyncio.to_thread(
                    wait_until, lambda: engine.log().count("changed 2") == len(engine.workers()), WITHIN_S
                )
                await client.subscribe("private-room")
                await client.unsubscribe("private-room")
                await asyncio.to_thread(receiver.wait_for_names, ["channel_occupied", "channel_vacated"], "/hook")
                await database.run("UPDATE applications SET enabled = FALSE WHERE id = '2'")
                assert await client.wait_closed() == 4003
            await asyncio.to_thread(everywhere, engine, "2", 403)
            await database.run("DELETE FROM applications WHERE id = '2'")
            await asyncio.to_thread(everywhere, engine, "2", 404)
            assert await asyncio.to_thread(publish, engine, "steady") == 200
            await steady.next("e")

    asyncio.run(scenario())


def test_sighup_reads_at_once(database: DatabaseServer) -> None:
    with running(config(database, refresh_ms=3_600_000), 2) as engine:
        # Only now every worker has read what is there.
        wait_until(lambda: "engine listens" in engine.log(), WITHIN_S)
        database.execute(ROW.format("2"))
        assert publish(engine, "2") == 404
        engine.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "every worker follows it" in engine.log(), WITHIN_S)
        everywhere(engine, "2", 200)


@workers(2)
def test_a_webhook_is_told_though_the_leader_has_not_heard_of_its_app(
    engine: Engine, database: DatabaseServer, receiver: WebhookReceiver
) -> None:
    """Workers read at moments of their own: one may serve an application that the leader hears of later."""
    hook = json.dumps([{"url": f"{receiver.url}/hook", "event_types": ["channel_occupied", "client_event"]}])

    async def scenario() -> None:
        for number in range(10):
            await database.run(
                'INSERT INTO applications (id, "key", secret, enable_client_messages, webhooks) '
                f"VALUES ('n{number}', 'key-n{number}', 'secret-n{number}', TRUE, '{hook}')"
            )
            client = None
            async with contextlib.AsyncExitStack() as stack:
                end = time.monotonic() + WITHIN_S
                while client is None and time.monotonic() < end:
                    with contextlib.suppress(AssertionError):
                        client = await stack.enter_async_context(
                            connected(engine.ws_url, f"key-n{number}", f"secret-n{number}")
                        )
                assert client is not None
                name = f"private-{number}"
                await client.subscribe(name)
                await client.send("client-hello", {}, name)
                await asyncio.to_thread(
                    wait_until,
                    lambda name=name: sorted(receiver.names("/hook", name)) == ["channel_occupied", "client_event"],
                    WITHIN_S,
                    lambda name=name: f"{receiver.names('/hook', name)}\n{engine.log()}",
                )

    asyncio.run(scenario())
    assert "given up" not in engine.log()
    assert "dropped" not in engine.log()


@workers(1)
def test_a_bad_row_harms_nobody(engine: Engine, database: DatabaseServer) -> None:
    database.execute("UPDATE applications SET max_connections = -7", ROW.format("2"))
    everywhere(engine, "2", 200)
    assert publish(engine, "steady") == 200
    assert "app steady refused; it stays as it was: max_connections: -7 is out of range" in engine.log()
    assert "secret-steady" not in engine.log()
    wait_until(lambda: re.search(r"^sockudo_apps_refused\{.*\} 1$", engine.metrics(), re.M), WITHIN_S, engine.metrics)


@pytest.mark.parametrize("ttl", [0, 1])
def test_without_the_database_the_copy_serves(ttl: int) -> None:
    """For ever, or for as long as is configured; connections stay in any case."""
    with database_server(PostgresServer) as own:
        own.execute(TABLE, ROW.format("steady"))
        with running(config(own, cache={"ttl": ttl}), 1, noise=NOISE) as engine:

            async def scenario() -> None:
                async with connected(engine.ws_url, "key-steady", "secret-steady") as client:
                    await client.subscribe("room")
                    await asyncio.to_thread(own.stop)
                    await asyncio.to_thread(
                        wait_until, lambda: "cannot be read now" in engine.log(), WITHIN_S, engine.log
                    )
                    if ttl:
                        await asyncio.to_thread(everywhere, engine, "steady", 503)
                        assert (await asyncio.to_thread(engine.raw, "GET", "/ready")).status == 503
                        async with connected(engine.ws_url, "key-steady", wait=False) as stranger:
                            assert await stranger.wait_closed() == 4100
                    else:
                        assert await asyncio.to_thread(publish, engine, "steady") == 200
                        await client.next("e")
                        assert (await asyncio.to_thread(engine.raw, "GET", "/ready")).status == 200
                    await client.settle()
                    await asyncio.to_thread(own.start)
                    await asyncio.to_thread(own.execute, ROW.format("2"))
                    await asyncio.to_thread(everywhere, engine, "2", 200)
                    await client.settle()

            asyncio.run(scenario())


def test_the_command_line_knows_them_too(database: DatabaseServer) -> None:
    folder, settings = prepare(config(database))
    try:
        file = folder / "config.json"
        told = command_line(folder, "apps", "--config", file, check=True)
        assert re.search("^steady +key-steady", told.stdout, re.MULTILINE)
        assert "secret-steady" not in told.stdout + told.stderr
        file.write_text(json.dumps(settings).replace(str(database.port), "1"))
        failed = command_line(folder, "apps", "--config", file)
        assert failed.returncode == 2
        assert failed.stderr.startswith("engine: app_manager.driver: the applications cannot be read: postgres at ")
    finally:
        shutil.rmtree(folder)
