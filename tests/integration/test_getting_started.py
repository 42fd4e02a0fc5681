"""The files and commands of the README, as a newcomer would use them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import connected
from tests.support.engine import APP, ROOT, basic_config, running
from tests.support.waiting import free_port, wait_until

RECEIVER = ROOT / "docs" / "getting-started" / "webhook_receiver.py"


@pytest.fixture
def documented_receiver(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The receiver of the README with app 1's secret: its address, and the file with what it prints."""
    port, printed = free_port(), tmp_path / "printed"
    with printed.open("w") as out:
        process = subprocess.Popen([sys.executable, RECEIVER, APP["secret"], str(port)], stdout=out, stderr=out)
        try:
            yield f"http://127.0.0.1:{port}/", printed
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("signature_format", ["prefixed", "hex"])
def test_documented_receiver_believes_our_webhooks(
    documented_receiver: tuple[str, Path], signature_format: str
) -> None:
    url, printed = documented_receiver
    webhook = {"url": url, "event_types": ["channel_occupied", "channel_vacated"], "signature_format": signature_format}
    webhook["retry"] = {"enabled": False}
    wrong_secret = APP | {"id": "2", "key": "other", "secret": "another"}
    apps = [app | {"webhooks": [webhook]} for app in (APP, wrong_secret)]

    async def visit(engine_url: str) -> None:
        async with connected(engine_url, "other", "another") as stranger, connected(engine_url) as client:
            await stranger.subscribe("not-genuine")
            await client.subscribe("test-channel")

    with running({"app_manager": {"array": {"apps": apps}}}) as engine:
        asyncio.run(visit(engine.ws_url))
        wait_until(lambda: printed.read_text().count("\n") >= 2, what=printed.read_text)
    events = [json.loads(line.partition(" ")[2]) for line in printed.read_text().splitlines()]
    assert [(e["name"], e["channel"]) for e in events] == [
        ("channel_occupied", "test-channel"),
        ("channel_vacated", "test-channel"),
    ]


def test_readme_shows_the_receiver_as_it_is() -> None:
    assert RECEIVER.read_text() in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("workers", [1, 2])
def test_config_json_serves_as_shipped(workers: int) -> None:
    """Only ports and address are changed."""
    config = json.loads((ROOT / "config.json").read_text())
    ours = basic_config()
    config |= {name: ours[name] for name in ("host", "port", "metrics")}
    with running(config, workers) as engine:

        async def scenario() -> None:
            async with connected(engine.ws_url) as client:
                await client.subscribe("test-channel")
                await asyncio.to_thread(
                    engine.request,
                    "POST",
                    "/events",
                    {"name": "greeting", "channels": ["test-channel"], "data": "{}"},
                    app_id="app-id",
                )
                await client.next("greeting")

        asyncio.run(scenario())
        assert "WARNING" not in engine.log()
