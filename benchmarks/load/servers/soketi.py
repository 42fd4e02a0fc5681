"""soketi from npm, installed into benchmarks/peers/soketi on first use.

Its own dependency on uWebSockets.js is a GitHub address. package.json there replaces it by a build of the same library
that npm has (uws-pack), behind a file of one line, since soketi loads it with `require`.
"""

from __future__ import annotations

import functools
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.load.programs import ROOT
from benchmarks.load.servers.base import APP_ID, KEY, SECRET, Launch, Need, Server, free_port

FOLDER = ROOT / "benchmarks" / "peers" / "soketi"
INSTALL_TIMEOUT_S = 300


class Soketi(Server):
    name = "soketi"
    title = "soketi"
    # It does not end on SIGTERM.
    stop_signal = signal.SIGKILL

    def version(self) -> str:
        soketi = _package("@soketi/soketi")["version"]
        node = _said(["node", "--version"])
        return f"{soketi} on Node {node}, uWebSockets.js as uws-pack {_package('uws-pack')['version']}"

    @functools.cache  # noqa: B019 (one object for the whole run; installing is tried once)
    def missing(self) -> str:
        if shutil.which("node") is None or shutil.which("npm") is None:
            return "Node and npm are not installed"
        try:
            _install()
        except (subprocess.SubprocessError, OSError) as error:
            return f"npm cannot install it: {error}"
        # What soketi would fail with at its start: a Node for which the package has no build.
        tried = subprocess.run(
            ["node", "-e", "require('uWebSockets.js').App"], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        return "" if tried.returncode == 0 else f"uWebSockets.js does not load: {tried.stderr.strip()[-300:]}"

    def launch(self, port: int, folder: Path, need: Need) -> Launch:
        settings = {
            "HOST": "127.0.0.1",
            "PORT": port,
            "METRICS_SERVER_PORT": free_port(),
            "DEFAULT_APP_ID": APP_ID,
            "DEFAULT_APP_KEY": KEY,
            "DEFAULT_APP_SECRET": SECRET,
            "DEFAULT_APP_ENABLE_CLIENT_MESSAGES": 1,
            "PRESENCE_MAX_MEMBERS": 100_000,
        }
        if need.webhook_url:
            webhook = {"url": need.webhook_url, "event_types": ["client_event"]}
            settings |= {
                "DEFAULT_APP_WEBHOOKS": json.dumps([webhook]),
                "WEBHOOKS_BATCHING": 1,
                "WEBHOOKS_BATCHING_DURATION": 50,
            }
        script = FOLDER / "node_modules" / "@soketi" / "soketi" / "bin" / "server.js"
        return Launch(
            ["node", str(script), "start"], {f"SOKETI_{name}": str(value) for name, value in settings.items()}
        )


def _install() -> None:
    done = FOLDER / "node_modules" / ".installed"
    wanted = FOLDER / "package.json"
    if done.exists() and done.stat().st_mtime >= wanted.stat().st_mtime:
        return
    sys.stderr.write("npm installs soketi into benchmarks/peers/soketi (about 300 MB)\n")
    # No package's own scripts are run; none of them is needed here.
    command = ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=FOLDER, check=True, timeout=INSTALL_TIMEOUT_S, stdout=subprocess.DEVNULL)
    done.touch()


def _package(name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / "node_modules" / name / "package.json").read_text())
    return found


def _said(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
