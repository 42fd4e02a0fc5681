"""What of an engine must be at its end as it was at its start: memory, descriptors, keys in Redis, gauges."""

from __future__ import annotations

import http.client
import os
import re
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from engine.redis.pool import MAX_CONNECTIONS
from tests.soak.inside.sitecustomize import ASK
from tests.support.engine import Engine
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

#: Gauges of what clients have brought.
GAUGES = re.compile(
    r"^sockudo_(connected|active_channels|presence_members|webhook_queue_depth)(?:\{[^}]*\})? (\S+)$", re.MULTILINE
)
#: Of a worker, which has another one after a machine had no time for it.
INCARNATION = re.compile(r"[0-9a-f]{16}")
#: Connections to Redis of two workers' pools.
POOLS = 2 * MAX_CONNECTIONS
#: Behind the kind of a socket or pipe.
INODE = re.compile(r":?\[\d+\]$")
#: Within this time the engine's own keys have all been there, though some of them expire and come again.
KEYS_S = 15.0
#: For webhooks that still wait, and for keys of workers that were given up as the machine had no time for them.
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """:ivar memory: of all workers, in bytes, as `memory` has it. :ivar files: their descriptors by kind, but for
    :ivar links: to Redis and to each other, whose pool grows up to its size with the first rush, and stays.
    :ivar keys: in Redis, by name without incarnations, with the length of what is there.
    :ivar gauges: sums by name.
    """

    memory: int
    files: Counter[str]
    links: int
    keys: dict[str, int]
    gauges: dict[str, float]


def at_rest(engine: Engine, valkey: ValkeyServer) -> Figures:
    """Once nobody is there and no webhook waits."""
    found: list[Figures] = []

    def quiet() -> bool:
        found[:] = _figures(engine, valkey)
        return bool(found) and not found[0].gauges

    wait_until(quiet, PATIENCE_S, lambda: f"nobody there and no webhook that waits: {found}")
    return found[0]


def at_start(engine: Engine, valkey: ValkeyServer) -> Figures:
    """The same, with all keys that the engine has by itself."""
    seen = at_rest(engine, valkey)
    keys, end_s = dict(seen.keys), time.monotonic() + KEYS_S
    while time.monotonic() < end_s:
        for name, size in _keys(valkey).items():
            keys[name] = max(size, keys.get(name, 0))
        time.sleep(0.2)
    return replace(at_rest(engine, valkey), keys=keys)


def memory(engine: Engine) -> int:
    """Bytes of all workers in pages that are in no file; with those that a fork shares with its parent until one side
    writes to them, since private bytes would seem to grow by each of these."""
    return sum(_anonymous_bytes(pid) for pid in engine.workers())


def live(engine: Engine, folder: Path) -> int:
    """Bytes that all workers have in use, by their own word (`inside/sitecustomize.py`). :param folder: of answers."""
    return sum(_live_bytes(pid, folder / str(pid)) for pid in engine.workers())


def _figures(engine: Engine, valkey: ValkeyServer) -> list[Figures]:
    """None while a machine with too much to do lets the engine's answer wait."""
    try:
        return [figures(engine, valkey)]
    except (OSError, http.client.HTTPException):
        return []


def figures(engine: Engine, valkey: ValkeyServer) -> Figures:
    files = [_target(file) for pid in engine.workers() for file in Path(f"/proc/{pid}/fd").iterdir()]
    links = {f"socket:[{line.split()[6]}]" for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    gauges: dict[str, float] = {}
    for name, value in GAUGES.findall(engine.metrics()):
        gauges[name] = gauges.get(name, 0) + float(value)
    return Figures(
        memory=memory(engine),
        files=Counter(INODE.sub("", file) for file in files if file not in links),
        links=sum(file in links for file in files),
        keys=_keys(valkey),
        gauges={name: value for name, value in gauges.items() if value},
    )


def come_back(engine: Engine, valkey: ValkeyServer, start: Figures) -> tuple[Figures, list[str]]:
    """(the figures once all but the memory is as at the start, what is still not after a while)."""
    end_s = time.monotonic() + PATIENCE_S
    said: list[str] = []
    while True:
        for now in _figures(engine, valkey):
            left = differences(start, now)
            if not left or time.monotonic() > end_s:
                return now, left
            if left != said:
                said = left
                print("not yet as at the start:", *left, flush=True)
        assert time.monotonic() < end_s + PATIENCE_S, "the engine does not answer any more"
        time.sleep(0.5)


def differences(start: Figures, end: Figures) -> list[str]:
    """What has not come back to where it was, but for the memory."""
    found = []
    if more := end.files - start.files:
        found.append(f"descriptors more: {dict(more)}")
    if end.links > start.links + POOLS:
        found.append(f"{end.links - start.links} connections to Redis more")
    if end.gauges != start.gauges:
        found.append(f"gauges {end.gauges}, which were {start.gauges}")
    keys = {name: size for name, size in end.keys.items() if size > start.keys.get(name, 0)}
    if keys:
        found.append(f"keys with more in them: {keys}")
    return found


def _target(file: Path) -> str:
    try:
        return os.readlink(file)
    except OSError:  # closed meanwhile
        return ""


def _anonymous_bytes(pid: int) -> int:
    found = re.search(r"^Anonymous: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return 1024 * int(found[1])


def _live_bytes(pid: int, answer: Path) -> int:
    answer.unlink(missing_ok=True)
    os.kill(pid, ASK)
    wait_until(answer.exists, PATIENCE_S, f"worker {pid} says what it has in use")
    return int(answer.read_text())


#: By type, how to ask for the length.
_LENGTHS = {"hash": "HLEN", "zset": "ZCARD", "set": "SCARD", "list": "LLEN", "stream": "XLEN", "string": "EXISTS"}


def _keys(valkey: ValkeyServer) -> dict[str, int]:
    with valkey.client() as client:
        found: dict[str, int] = {}
        for key in client.scan_iter(count=1000):
            name = INCARNATION.sub("*", key.decode())
            if ":gone:" in name and client.ttl(key) > 0:
                # A consumer that was taken over from, as the machine had no time for it, is refused for a day.
                continue
            kind = client.type(key).decode()
            if kind in _LENGTHS:
                found[name] = found.get(name, 0) + int(client.execute_command(_LENGTHS[kind], key))
        return found
