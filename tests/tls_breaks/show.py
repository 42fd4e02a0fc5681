"""One show: clients hear numbered messages while a webhook endpoint breaks off TLS, and nothing of theirs may suffer.

Played by the test for some seconds, and by `python -m tests.tls_breaks` for as long as it is told.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.client import PusherClient, connected
from tests.support.engine import APP, ROOT, Engine, running

#: Each client event is a webhook to each of them; the events go over so many channels that none waits for another's.
ENDPOINTS = 10
LANES = 100


@dataclass
class Seen:
    """What the clients saw, and what was done to them meanwhile."""

    breaks: dict[str, int] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    passers_by: int = 0

    def __str__(self) -> str:
        times = sorted(self.latencies_s)
        return (
            f"{sum(self.breaks.values())} breaks {self.breaks}\n"
            f"{len(times)} messages heard, p50 {times[len(times) // 2] * 1000:.1f} ms, "
            f"p99 {times[len(times) * 99 // 100] * 1000:.1f} ms, longest {times[-1] * 1000:.1f} ms\n"
            f"{self.passers_by} connections came and went\n"
            f"faults: {dict(self.faults) or 'none'}"
        )


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed one for 127.0.0.1, and its key. Needs the command openssl."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    name = "-subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    kind = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
    command = f"openssl req -x509 -days 2 {kind} -keyout {key} {name} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    return certificate, key


def play(folder: Path, *, clients: int, rate: float, seconds: float, publish_every_s: float = 0.1) -> Seen:
    """:param rate: breaks per second."""
    certificate, key = make_certificate(folder)
    breaker = subprocess.Popen(
        [sys.executable, "-m", "tests.tls_breaks.breaker", str(certificate), str(key)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    seen = Seen()
    try:
        assert breaker.stdout is not None
        url = f"https://127.0.0.1:{int(breaker.stdout.readline())}"
        # Known to the engine, so that what follows a handshake is tried too.
        with running(_config(url), 1, env={"SSL_CERT_FILE": str(certificate)}, noise=None) as engine:
            before = engine.workers()
            asyncio.run(_Show(engine, seen, rate, publish_every_s).run(clients, seconds))
            if engine.workers() != before:
                seen.faults["worker died"] += 1
            for text in ("is used by transport", "Traceback"):
                seen.faults[f"log: {text}"] += engine.log().count(text)
            seen.faults = +seen.faults
    finally:
        rest, _ = breaker.communicate(timeout=10)
        seen.breaks = json.loads(rest)
    return seen


def _config(url: str) -> dict[str, Any]:
    hooks = [
        {
            "url": f"{url}/{number}",
            "event_types": ["client_event"],
            "request_timeout_ms": 1000,
            "retry": {"enabled": False},
        }
        for number in range(ENDPOINTS)
    ]
    # The clients never sign in, for which an application may set a time limit; an hour's run would meet it.
    app = APP | {"enable_user_authentication": False, "webhooks": hooks}
    return {"app_manager": {"array": {"apps": [app]}}, "shutdown_grace_period": 1}


class _Show:
    def __init__(self, engine: Engine, seen: Seen, rate: float, publish_every_s: float) -> None:
        self._engine = engine
        self._seen = seen
        self._pause_s = ENDPOINTS / rate
        self._publish_every_s = publish_every_s
        self._published = 0

    async def run(self, clients: int, seconds: float) -> None:
        async with AsyncExitStack() as stack:
            everyone = [await stack.enter_async_context(connected(self._engine.ws_url)) for _ in range(clients)]
            for client in everyone:
                await client.subscribe("room")
            listeners = [asyncio.create_task(self._listen(client)) for client in everyone]
            others = [asyncio.create_task(each) for each in (self._cause(), self._pass_by(), self._publish())]
            await asyncio.sleep(seconds)
            for task in others:
                if task.done():
                    self._fault(task.exception() or "ended")
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.wait(listeners, timeout=2)
            for number, task in enumerate(listeners):
                if task.done():
                    self._fault(task.exception() or "stopped hearing")
                task.cancel()
                if everyone[number].close_code is not None:
                    self._seen.faults["client dropped"] += 1
            await asyncio.gather(*listeners, return_exceptions=True)

    async def _listen(self, client: PusherClient) -> None:
        """Every message, in order, none twice."""
        expected = None
        while True:
            data = json.loads((await client.next("n", "room", timeout_s=20))["data"])
            self._seen.latencies_s.append(time.monotonic() - data["at"])
            if expected is not None and data["number"] != expected:
                self._seen.faults["message lost or corrupted"] += 1
            expected = data["number"] + 1
            if any(frame["event"] == "pusher:ping" for frame in client.frames):
                await client.next("pusher:ping")
                await client.send("pusher:pong", {})

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(self._publish_every_s)
            data = json.dumps({"number": self._published, "at": time.monotonic()})
            self._published += 1
            await asyncio.to_thread(self._engine.trigger, "room", "n", data)

    async def _cause(self) -> None:
        """Client events, each of which makes a webhook for every endpoint."""
        async with connected(self._engine.ws_url) as client:
            for lane in range(LANES):
                await client.subscribe(f"private-{lane}")
            number = 0
            while True:
                await client.send("client-n", number, f"private-{number % LANES}")
                number += 1
                await asyncio.sleep(self._pause_s)

    async def _pass_by(self) -> None:
        """Connections that come and go, and take the descriptors that others gave back."""
        while True:
            try:
                async with connected(self._engine.ws_url) as client:
                    await client.subscribe("room")
            except (AssertionError, OSError) as error:
                self._fault(error)
            self._seen.passers_by += 1
            await asyncio.sleep(0.05)

    def _fault(self, what: object) -> None:
        self._seen.faults[f"{type(what).__name__}: {str(what)[:60]}"] += 1
