"""The official JavaScript clients: one NodeJs process (`tests/clients/driver.mjs`), driven by lines of JSON."""

from __future__ import annotations

import itertools
import json
import queue
import shutil
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).resolve().parents[1] / "clients"
TIMEOUT_S = 30.0


def missing() -> str:
    """Why the JavaScript clients cannot run here; "" when they can."""
    if shutil.which("node") is None:
        return "NodeJs is not installed"
    if not (CLIENTS / "node_modules" / "pusher-js").is_dir():
        return "the JavaScript clients are not installed (make test does it)"
    return ""


class NodeJs:
    """``node("pusher.connect", client="a", …)`` calls a function of tests/clients and returns its answer."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["node", "driver.mjs"], cwd=CLIENTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Any]] = {}
        self._errors: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._read), threading.Thread(target=self._read_errors)]
        for thread in self._threads:
            thread.start()

    def __call__(self, call: str, **args: Any) -> Any:
        return self.begin(call, **args).result(TIMEOUT_S)

    def begin(self, call: str, **args: Any) -> Future[Any]:
        """Start a call without waiting for its answer."""
        number, future = next(self._ids), Future[Any]()
        self._waiting[number] = future
        line = json.dumps({"id": number, "call": call, "args": args}) + "\n"
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()
        return future

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> NodeJs:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                answer = json.loads(line)
                future = self._waiting.pop(answer["id"])
                if "error" in answer:
                    future.set_exception(AssertionError(answer["error"]))
                else:
                    future.set_result(answer["result"])
        for future in self._waiting.values():
            future.set_exception(AssertionError(f"NodeJs ended: {self._said()}"))

    def _read_errors(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._errors.put(line)

    def _said(self) -> str:
        lines = []
        while not self._errors.empty():
            lines.append(self._errors.get().decode(errors="replace"))
        return "".join(lines)
