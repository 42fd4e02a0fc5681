"""A plain asyncio server on the `websockets` library: what one gets by writing it in an afternoon."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

from benchmarks.load.programs import ROOT
from benchmarks.load.servers.base import Launch, Need, Server, free_port


class PlainWebsockets(Server):
    name = "websockets"
    title = "asyncio + websockets"

    def version(self) -> str:
        return f"websockets {importlib.metadata.version('websockets')} on Python {platform.python_version()}"

    def missing(self) -> str:
        try:
            importlib.metadata.version("websockets")
        except importlib.metadata.PackageNotFoundError:
            return "websockets is not installed (pip install '.[bench]')"
        return ""

    def launch(self, port: int, folder: Path, need: Need) -> Launch:
        publish_port = free_port()
        script = ROOT / "benchmarks" / "peers" / "websockets_server.py"
        return Launch([sys.executable, str(script), str(port), str(publish_port)], publish_port=publish_port)
