"""SIGTERM: clients are told to come back at once, nothing that was accepted is lost, and nothing stays behind."""

from __future__ import annotations

import asyncio
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.conftest import shared_config
from tests.support.client import connected
from tests.support.engine import running
from tests.support.receiver import WebhookReceiver

CLIENTS = 20


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_clients_are_told_and_webhooks_are_flushed(
    receiver: WebhookReceiver, workers: int, how: signal.Signals
) -> None:
    # A long batch window: what waits in it must be sent by the stop, not by the clock.
    webhooks = {"settle_ms": 0, "batching": {"enabled": True, "duration": 2000}}
    with running(shared_config(receiver) | {"webhooks": webhooks}, workers) as engine:

        async def scenario() -> None:
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(connected(engine.ws_url)) for _ in range(CLIENTS)]
                for client in clients:
                    await client.subscribe("private-room")
                await clients[0].send("client-last-words", {}, "private-room")
                await clients[0].settle()
                started = time.monotonic()
                status = await asyncio.to_thread(engine.terminate, how)
                assert status == 0, engine.log()
                assert time.monotonic() - started < 10
                assert {await client.wait_closed() for client in clients} == {4100}
                for client in clients[1:]:
                    await client.next("client-last-words")

        asyncio.run(scenario())
        assert "client_event" in receiver.names("/hook", "private-room")
        assert not engine.processes(), "neither a worker nor the embedded Valkey"


def test_unused_engine_ends_quickly_and_leaves_only_its_data(tmp_path: Path) -> None:
    with running(workers=2) as engine:
        assert any("valkey" in command for command in engine.processes().values())
        started = time.monotonic()
        assert engine.terminate() == 0
        assert time.monotonic() - started < 5
        left = {path.name for path in engine.folder.iterdir()}
    assert left <= {"config.json", "log", "data", "tmp"}


def test_port_in_use_is_told() -> None:
    """A second engine on the same port would take half of the connections; it must not start."""
    with running() as engine:
        second = engine.command("--config", engine.config_path)
        assert second.returncode == 2
        assert f"port: {engine.port} on 127.0.0.1 cannot be used" in second.stderr
