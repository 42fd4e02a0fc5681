"""`python -m benchmarks.history`: what a publish costs that is kept, beside one that is not, in one run.

One worker over one Valkey. Rounds alternate between a channel that a rule keeps and one that no rule fits; what counts
is the ratio of CPU within the run. Then what Valkey ran for each kept event, and what it remembers of it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
from pathlib import Path

from engine.history.redis import keys
from tests.support.engine import APP, Engine, running
from tests.support.signing import signed_query
from tests.support.valkey import ValkeyServer

KEPT, PLAIN = "private-kept", "private-plain"
PREFIX, TOPICS = "b:", "t:"
PATH = f"/apps/{APP['id']}/events"
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--rounds", type=int, default=10, help="of each kind (default: 10)")
    parser.add_argument("--publishes", type=int, default=2000, help="in each round (default: 2000)")
    parser.add_argument("--bytes", type=int, default=100, help="of an event's data (default: 100)")
    options = parser.parse_args()
    rule = {"channels": KEPT, "count": 1000, "seconds": 600, "bytes": 64 * 1024 * 1024}
    with ValkeyServer() as valkey, valkey.client() as client:
        config = {
            "adapter": {"driver": "redis", "redis": {"prefix": TOPICS}},
            "database": {"redis": {"url": valkey.url, "key_prefix": PREFIX}},
            "app_manager": {"array": {"apps": [APP | {"history": [rule]}]}},
        }
        with running(config) as engine:
            (worker,) = engine.workers()
            server = client.info("server")["process_id"]
            used: dict[str, list[tuple[float, float]]] = {KEPT: [], PLAIN: []}
            for channel in (KEPT, PLAIN):
                _publish(engine, channel, options.publishes, options.bytes)
            for _ in range(options.rounds):
                for channel, rounds in used.items():
                    before = _cpu_s(worker), _cpu_s(server)
                    _publish(engine, channel, options.publishes, options.bytes)
                    spent = _cpu_s(worker) - before[0], _cpu_s(server) - before[1]
                    rounds.append((spent[0] / options.publishes * 1e6, spent[1] / options.publishes * 1e6))
            client.config_resetstat()
            _publish(engine, KEPT, options.publishes, options.bytes)
            calls = {
                name.removeprefix("cmdstat_"): found["calls"] / options.publishes
                for name, found in client.info("commandstats").items()
            }
            events, state = keys(PREFIX, f"{TOPICS}{APP['id']}/{KEPT}")
            held = client.memory_usage(events, samples=0), client.memory_usage(state), client.xlen(events)
    for part, name in ((0, "worker"), (1, "Valkey")):
        kept, plain = (statistics.median(each[part] for each in used[channel]) for channel in (KEPT, PLAIN))
        print(f"CPU of the {name}: {kept:.0f} µs for a kept publish, {plain:.0f} for any other: {kept / plain:.2f}")
    print("Valkey ran for each:", ", ".join(f"{each:.2f} {name}" for name, each in calls.items() if each >= 0.01))
    print(f"memory: {held[0] / held[2]:.0f} bytes an event, {held[1]} for the state; {held[2]} events")
    return 0


def _publish(engine: Engine, channel: str, count: int, size: int) -> None:
    """One after the other, over one connection."""
    body = json.dumps({"name": "e", "channel": channel, "data": "x" * size}).encode()
    query = signed_query(APP["key"], APP["secret"], "POST", PATH, body)
    target = f"{PATH}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=30)
    try:
        for _ in range(count):
            connection.request("POST", target, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()
    finally:
        connection.close()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


if __name__ == "__main__":
    sys.exit(main())
