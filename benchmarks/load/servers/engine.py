"""The engine, as its operator starts it, on the configuration that it has by default but for its ports and limits."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.load.programs import ROOT
from benchmarks.load.servers.base import APP_ID, KEY, SECRET, Launch, Need, Server, free_port


class Engine(Server):
    """:param workers: with more than one the embedded Valkey runs too.
    :param shared_memory: False sends events between them through it.
    """

    def __init__(self, workers: int = 1, *, shared_memory: bool = True) -> None:
        self.workers = workers
        self.shared_memory = shared_memory
        self.name = "engine" if workers == 1 else f"engine-{workers}"
        self.title = "engine" if workers == 1 else f"engine, {workers} workers"
        if not shared_memory:
            self.name += "-valkey"
            self.title += ", events through Valkey"

    def version(self) -> str:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return described.stdout.strip() or "unknown"

    def launch(self, port: int, folder: Path, need: Need) -> Launch:
        config = _config(port, need) | {"adapter": {"shared_memory": self.shared_memory}}
        (folder / "config.json").write_text(json.dumps(config))
        command = [sys.executable, "-m", "engine", "--workers", str(self.workers), "--config", "config.json"]
        return Launch(command, {"PYTHONPATH": str(ROOT)})

    def is_up(self, port: int) -> bool:
        """The supervisor listens before its workers can serve; /ready tells when they do."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def _config(port: int, need: Need) -> dict[str, Any]:
    app: dict[str, Any] = {"id": APP_ID, "key": KEY, "secret": SECRET, "enable_client_messages": True}
    if need.webhook_url:
        app["webhooks"] = [{"url": need.webhook_url, "event_types": ["client_event"]}]
    return {
        "host": "127.0.0.1",
        "port": port,
        "metrics": {"host": "127.0.0.1", "port": free_port()},
        "presence": {"max_members_per_channel": 100_000},
        "app_manager": {"array": {"apps": [app]}},
    }
