"""What of an engine must be at its end as it was at its start: memory, descriptors, keys in Redis, gauges."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from tests.support.engine import Engine
from tests.support.valkey import ValkeyServer

#: Gauges of what clients have brought.
GAUGES = re.compile(
    r"^sockudo_(connected|active_channels|presence_members|webhook_queue_depth)(?:\{[^}]*\})? (\S+)$", re.MULTILINE
)
#: For webhooks that still wait, and for keys of workers that were given up as the machine had no time for them.
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Figures:
    """:ivar memory: private bytes of all workers. :ivar files: their descriptors. :ivar keys: in Redis, by name, with
    the length of what is there. :ivar gauges: sums by name."""

    memory: int
    files: int
    keys: dict[str, int]
    gauges: dict[str, float]


def figures(engine: Engine, valkey: ValkeyServer) -> Figures:
    workers = engine.workers()
    gauges: dict[str, float] = {}
    for name, value in GAUGES.findall(engine.metrics()):
        gauges[name] = gauges.get(name, 0) + float(value)
    return Figures(
        memory=sum(_private_bytes(pid) for pid in workers),
        files=sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in workers),
        keys=_keys(valkey),
        gauges={name: value for name, value in gauges.items() if value},
    )


def come_back(engine: Engine, valkey: ValkeyServer, start: Figures) -> tuple[Figures, list[str]]:
    """(the figures once all but the memory is as at the start, what is still not after a while)."""
    end_s = time.monotonic() + PATIENCE_S
    while True:
        now = figures(engine, valkey)
        left = differences(start, now)
        if not left or time.monotonic() > end_s:
            return now, left
        time.sleep(0.5)


def differences(start: Figures, end: Figures) -> list[str]:
    """What has not come back to where it was, but for the memory."""
    found = []
    if end.files > start.files:
        found.append(f"{end.files - start.files} descriptors more")
    if end.gauges != start.gauges:
        found.append(f"gauges {end.gauges}, which were {start.gauges}")
    more = {name: size for name, size in end.keys.items() if size > start.keys.get(name, 0)}
    if more:
        found.append(f"keys with more in them: {more}")
    return found


def _private_bytes(pid: int) -> int:
    """What only this process has, in memory."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return 1024 * sum(int(found) for found in re.findall(r"^Private_(?:Clean|Dirty): +(\d+) kB$", text, re.MULTILINE))


#: By type, how to ask for the length.
_LENGTHS = {"hash": "HLEN", "zset": "ZCARD", "set": "SCARD", "list": "LLEN", "stream": "XLEN", "string": "EXISTS"}


def _keys(valkey: ValkeyServer) -> dict[str, int]:
    with valkey.client() as client:
        found = {}
        for key in client.scan_iter(count=1000):
            name = key.decode()
            kind = client.type(key).decode()
            if kind in _LENGTHS:
                found[name] = int(client.execute_command(_LENGTHS[kind], key))
        return found
