"""The engine as its operator runs it: ``python -m engine`` in a process of its own, on free ports, in its own folder.

`running(config)` starts it, waits until it is ready, and at the end demands a clean exit, a quiet log and no process
left behind.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import warm
from tests.support.signing import signed_query
from tests.support.waiting import free_port, wait_until

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
#: Lines that no client and no test may cause in a healthy engine.
NOISE = re.compile(r"Traceback \(most recent call last\)|\bERROR\b|\bCRITICAL\b|Exception ignored|never awaited")
ROOT = Path(__file__).resolve().parents[2]
#: The interpreter that runs the engine. `make install-test` names one into which the package was installed.
PYTHON = os.environ.get("ENGINE_TEST_PYTHON", sys.executable)

#: Beginnings of variables that are looked at when the interpreter starts, or a library is imported.
AT_IMPORT = ("PYTHON", "SSL_")
Process = subprocess.Popen[bytes] | warm.Forked

#: Becomes the command that follows, with a socket handed over as sd_listen_fds(3) says.
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""

APP: dict[str, Any] = {
    "id": "1",
    "key": "app-key",
    "secret": "app-secret",
    "enable_client_messages": True,
    "enable_user_authentication": True,
    "enable_watchlist_events": True,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: status, headers with lower-case names, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def command_line(
    folder: Path, *words: str | Path, check: bool = False, timeout_s: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m engine …`` in a folder, to its end. :param check: whether its status must be 0."""
    return subprocess.run(
        [PYTHON, "-m", "engine", *words],
        check=check,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


class Engine:
    """A started engine. `process` is the supervisor."""

    def __init__(
        self,
        process: Process,
        folder: Path,
        config: Mapping[str, Any],
        cafile: Path | None = None,
    ) -> None:
        self.process = process
        self.folder = folder
        self.config = config
        self.config_path = folder / "config.json"
        self._page = 0
        self.port: int = config["port"]
        self.metrics_port: int = config["metrics"]["port"]
        tls = bool(config.get("ssl", {}).get("enabled"))
        self.ws_url = f"ws{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.http_url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self._tls = ssl.create_default_context(cafile=cafile) if tls else None

    def log(self) -> str:
        """What it has written since `turn_page`, or since its start: stdout and stderr of all its processes."""
        return (self.folder / "log").read_bytes()[self._page :].decode(errors="replace")

    def command(
        self, *words: str | Path, check: bool = False, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python -m engine …`` beside this engine's own config.json, to its end."""
        return command_line(self.folder, *words, check=check, timeout_s=timeout_s)

    def turn_page(self) -> None:
        """Its log begins here for whoever reads it from now on; the end is judged by all of it."""
        self._page = (self.folder / "log").stat().st_size

    def processes(self) -> dict[int, str]:
        """pid -> command line of every living process of this engine: supervisor, workers, Valkey."""
        return dict(_living_in(self.folder))

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        # A new fork server has the modules of workers as its words, until it has its own title.
        return sorted(pid for pid, command in self.processes().items() if command.startswith("engine.worker"))

    def worker_of(self, local_port: int) -> int:
        """Process id of the worker that holds the connection whose client end has this port."""
        inodes = {
            f"socket:[{fields[9]}]"
            for fields in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
            if (_port(fields[1]), _port(fields[2])) == (self.port, local_port)
        }
        for pid in self.workers():
            if any(_link(entry) in inodes for entry in Path(f"/proc/{pid}/fd").iterdir()):
                return pid
        raise AssertionError(f"no worker holds the connection from port {local_port}")

    def request(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None, **app: str
    ) -> Answer:
        """One signed API request below ``/apps/{id}``, by app "1" unless `app` gives app_id, key and secret."""
        data = b"" if body is None else json.dumps(body).encode()
        full = f"/apps/{app.get('app_id', APP['id'])}{path}"
        query = signed_query(
            app.get("key", APP["key"]), app.get("secret", APP["secret"]), method, full, data, params=params
        )
        return self.raw(method, f"{full}?{urllib.parse.urlencode(query)}", data)

    def raw(self, method: str, path: str, body: bytes = b"", port: int | None = None) -> Answer:
        """One unsigned request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=10)
        if self._tls is not None and port is None:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=self._tls)
        try:
            connection.request(method, path, body or None, {"Content-Type": "application/json"} if body else {})
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, headers, answer.read())
        finally:
            connection.close()

    def trigger(self, channels: str | Sequence[str], event: str, data: str = "{}", **more: Any) -> Any:
        """Publish an event; returns the answer's JSON."""
        names = [channels] if isinstance(channels, str) else list(channels)
        answer = self.request("POST", "/events", {"name": event, "channels": names, "data": data, **more})
        assert answer.status == 200, answer
        return answer.json

    def metrics(self) -> str:
        return self.raw("GET", "/metrics", port=self.metrics_port).body.decode()

    def terminate(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait for that; returns its exit status."""
        self.process.send_signal(how)
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def running(
    config: Mapping[str, Any] | None = None,
    workers: int = 1,
    *,
    env: Mapping[str, str] | None = None,
    args: Sequence[str] = (),
    noise: re.Pattern[str] | None = NOISE,
    cafile: Path | None = None,
    files: int | None = None,
    listening: socket.socket | None = None,
) -> Iterator[Engine]:
    """Start an engine and stop it at the end, checking that it leaves nothing behind.

    :param config: merged over `basic_config()`; ``app_manager.array.apps`` is replaced as a whole.
    :param cafile: the certificate by which a TLS engine is known.
    :param files: how many each of its processes may have open; None leaves that as it is.
    :param listening: what it is given instead of opening its port, as systemd gives it.
    :param noise: what must not stand in its log at the end; None for tests that provoke it.
    """
    folder, merged = prepare(config)
    engine = Engine(
        launch(folder, workers, env=env, args=args, files=files, listening=listening), folder, merged, cafile
    )
    try:
        wait_until(lambda: is_ready(engine), START_TIMEOUT_S, lambda: f"the engine is ready\n{engine.log()}")
        # On a busy machine the first worker may serve before the last is there.
        wait_until(lambda: len(engine.workers()) == workers, START_TIMEOUT_S, "every worker is there")
        yield engine
        engine._page = 0
        _end_cleanly(engine, noise)
    except BaseException:
        sys.stderr.write(f"--- log of the engine ---\n{engine.log()}\n--- end of log ---\n")
        raise
    finally:
        for pid in engine.processes():
            _kill(pid)
        engine.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def prepare(config: Mapping[str, Any] | None = None) -> tuple[Path, dict[str, Any]]:
    """A folder to run an engine in, with its configuration, which is `config` merged over `basic_config()`."""
    folder = Path(tempfile.mkdtemp(prefix="engine-"))
    (folder / "tmp").mkdir()
    merged = _merge(basic_config(), config or {})
    (folder / "config.json").write_text(json.dumps(merged, indent=1))
    return folder, merged


def launch(
    folder: Path,
    workers: int,
    *,
    env: Mapping[str, str] | None = None,
    args: Sequence[str] = (),
    files: int | None = None,
    listening: socket.socket | None = None,
) -> Process:
    """Start the supervisor in a prepared folder. It goes on with the log that is there.

    By a fork, unless it is told something that only a new program takes in.
    """
    words = ["--workers", str(workers), "--config", "config.json", *args]
    given = environment() | {"TMPDIR": str(folder / "tmp")} | dict(env or {})
    limit = [] if files is None else ["prlimit", f"--nofile={files // 2}:{files}"]
    if listening is not None:
        limit += [PYTHON, "-c", AS_SYSTEMD, str(listening.fileno())]
    ours = sys.executable == PYTHON and not limit
    with (folder / "log").open("ab") as log:
        if ours and not any(name.startswith(AT_IMPORT) for name in env or {}):
            return warm.fork(PYTHON, words, folder, given, log.fileno(), common=environment())
        return subprocess.Popen(
            [*limit, PYTHON, "-m", "engine", *words],
            cwd=folder,
            env=given,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[] if listening is None else [listening.fileno()],
        )


def basic_config() -> dict[str, Any]:
    """One app, ports that are free now, webhooks without delays."""
    return {
        "host": "127.0.0.1",
        "port": free_port(),
        "metrics": {"enabled": True, "host": "127.0.0.1", "port": free_port()},
        "webhooks": {"settle_ms": 0, "batching": {"enabled": False}},
        "shutdown": {"delay_ms": 0},
        "app_manager": {"driver": "memory", "array": {"apps": [deepcopy(APP)]}},
    }


def environment() -> dict[str, str]:
    """Ours without what would configure the engine; with the source's folder, unless an installed package is tried."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
    source = {"PYTHONPATH": str(ROOT)} if sys.executable == PYTHON else {}
    # No test asks a server that a public authority vouches for, and to read all authorities takes each worker a while.
    return kept | source | {"PYTHONUNBUFFERED": "1", "SSL_CERT_FILE": os.devnull}


def is_ready(engine: Engine) -> bool:
    """Whether the worker that answers is ready; AssertionError when the supervisor has ended."""
    status = engine.process.poll()
    if status is not None:
        raise AssertionError(f"the engine ended with {status} before it was ready\n{engine.log()}")
    try:
        return engine.raw("GET", "/ready").status == 200
    except (OSError, http.client.HTTPException):
        return False


def all_serve(engine: Engine) -> bool:
    """Whether every worker has come up: before that a restart in place is refused."""
    return "engine listens on" in engine.log()


def all_say(engine: Engine, status: int, text: str = "") -> bool:
    """Whether `/ready` answers so to each of enough requests that both of two workers get some."""
    answers = [engine.raw("GET", "/ready") for _ in range(12)]
    return all(answer.status == status and text in answer.body.decode() for answer in answers)


def _end_cleanly(engine: Engine, noise: re.Pattern[str] | None) -> None:
    if engine.process.poll() is None:
        status = engine.terminate()
        assert status == 0, f"exit status {status}\n{engine.log()}"
    wait_until(lambda: not engine.processes(), what=lambda: f"no process left; there are {engine.processes()}")
    left = [path.name for path in (engine.folder / "tmp").iterdir()]
    assert not left, f"temporary files left behind: {left}"
    if noise is not None:
        found = [line for line in engine.log().splitlines() if noise.search(line)]
        assert not found, f"the log should be quiet: {found}"


def _living_in(folder: Path) -> Iterator[tuple[int, str]]:
    """(pid, command line) of every process whose working directory is in `folder`."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or not _link(entry / "cwd").startswith(f"{folder}"):
            continue
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if command:
            yield int(entry.name), command


def _port(address: str) -> int:
    """Of an address as /proc/net/tcp writes it."""
    return int(address.rpartition(":")[2], 16)


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:
        return ""


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else deepcopy(value)
    return merged
