"""A headless Chromium, started afresh and driven over its own debugging protocol: no driver program is needed.

Its pages may reach 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.waiting import until

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_TIMEOUT_S = 60.0
TIMEOUT_S = 30.0
POLL_S = 0.02
OPTIONS = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--window-size=1000,800",
)


def missing() -> str:
    """Why there is no browser; "" when there is one."""
    return "" if _binary() else f"no browser is installed ({', '.join(NAMES)})"


class Page:
    """One open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def open(self, url: str) -> None:
        await self._command("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression comes to, as JSON; None while it cannot be computed."""
        answer = await self._command("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value") if "exceptionDetails" not in answer else None

    async def wait(self, expression: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Wait until the expression is something true, and return that."""
        end = asyncio.get_running_loop().time() + timeout_s
        while not (value := await self.value(expression)):
            if asyncio.get_running_loop().time() > end:
                state = await self.value("JSON.stringify(window.page)") or await self.value("document.body.innerText")
                raise AssertionError(f"not within {timeout_s:g} s: {expression}; the page: {state}")
            await asyncio.sleep(POLL_S)
        return value

    async def look(self, width: int, height: int, *, dark: bool = False) -> None:
        """Show it on a screen of that size from now on, to somebody who likes it dark or not."""
        await self._command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._command("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, path: Path) -> None:
        """Write what it looks like as a PNG."""
        picture = base64.b64decode((await self._command("Page.captureScreenshot", format="png"))["data"])
        await asyncio.to_thread(_write, path, picture)

    async def _command(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                message = json.loads(await self._socket.receive_str())
                if message.get("id") == self._number:
                    assert "error" not in message, f"{method}: {message}"
                    return dict(message["result"])


@asynccontextmanager
async def browser_page() -> AsyncIterator[Page]:
    """Start a browser with an empty page; it is gone at the end, with all it has written."""
    folder = Path(tempfile.mkdtemp(prefix="browser-"))
    process = _start(folder)
    try:
        port = await _port(process, folder)
        async with aiohttp.ClientSession() as session:
            async with session.put(f"http://127.0.0.1:{port}/json/new?about:blank") as answer:
                target = await answer.json(content_type=None)
            async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        process.terminate()
        await asyncio.to_thread(_end, process)
        # Its children write on for a moment after it has ended.
        await until(lambda: _removed(folder), what=f"{folder} is removed")


def _start(folder: Path) -> subprocess.Popen[bytes]:
    binary = _binary()
    assert binary is not None
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [binary, *OPTIONS, f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


async def _port(process: subprocess.Popen[bytes], folder: Path) -> int:
    """Where it listens; it writes that down once it does."""
    told = folder / "DevToolsActivePort"

    def ready() -> bool:
        assert process.poll() is None, f"the browser ended at once: {(folder / 'log').read_text(errors='replace')}"
        return told.exists() and "\n" in told.read_text()

    await until(ready, START_TIMEOUT_S, lambda: (folder / "log").read_text(errors="replace"))
    return int(told.read_text().splitlines()[0])


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _removed(folder: Path) -> bool:
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _binary() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)
