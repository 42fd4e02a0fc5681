"""Why the log of transitions is a sorted set and not a stream.

The leader asks again and again for what may be told now, while thousands of departures wait for their settling time. In
both forms the look is one script on a real Valkey, the entries are the same, and `due` of them may be told.

    python benchmarks/micro/transitions_log.py [--waiting 10000] [--due 10] [--rounds 300]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support.valkey import ValkeyServer

ENTRY = '["member_removed","app-1","presence-room-%06d",1762000000000,"user-%06d","123456.654321",""]'

#: Passes over every entry that still settles, in pages, since entries stand in the order in which they were written.
STREAM_LOOK = """
local due, from = {}, '-'
while true do
  local page = redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', 500)
  for _, entry in ipairs(page) do
    if tonumber(entry[2][2]) <= tonumber(ARGV[1]) then due[#due + 1] = entry[2][4] end
  end
  if #page < 500 then return due end
  from = '(' .. page[#page][1]
end
"""
SORTED_LOOK = "return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, 500)"


def measure(what: str, rounds: int, work: Callable[[int], Any]) -> None:
    """Median and worst time of one call, in microseconds."""
    work(0)
    times = []
    for n in range(rounds):
        start = time.perf_counter()
        work(n + 1)
        times.append((time.perf_counter() - start) * 1e6)
    print(f"  {what:<28}{statistics.median(times):>10.0f} µs {max(times):>10.0f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--due", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    with ValkeyServer() as server, server.client() as client:
        compare(client, options.waiting, options.due, options.rounds)


def compare(client: redis.Redis, waiting: int, due: int, rounds: int) -> None:
    now, later = 1_000, 4_000
    stream_look, sorted_look = client.register_script(STREAM_LOOK), client.register_script(SORTED_LOOK)
    ids = []
    for n in range(waiting + due):
        # What is due is young, as an occupied among older departures: it stands behind them in a stream.
        when, entry = (later if n < waiting else now), ENTRY % (n, n)
        ids.append(client.xadd("stream", {"due": when, "entry": entry}))
        client.zadd("sorted", {f"{n:016}{entry}": when})
    assert len(stream_look(["stream"], [now])) == len(sorted_look(["sorted"], [now])) == due
    version = client.info("server").get("valkey_version", client.info("server")["redis_version"])
    print(f"Valkey {version}, {waiting} entries wait, {due} are due; median and worst of {rounds} calls")
    print("look for what is due")
    measure("stream", rounds, lambda _: stream_look(["stream"], [now]))
    measure("sorted set", rounds, lambda _: sorted_look(["sorted"], [now]))
    print("append one that settles")
    measure("stream", rounds, lambda n: client.xadd("stream", {"due": later, "entry": ENTRY % (n, n)}))
    measure("sorted set", rounds, lambda n: client.zadd("sorted", {f"{10**9 + n:016}{ENTRY % (n, n)}": later}))
    print("cancel one of those that wait")
    measure("stream", rounds, lambda n: client.xdel("stream", ids[n]))
    measure("sorted set", rounds, lambda n: client.zrem("sorted", f"{n:016}{ENTRY % (n, n)}"))
    for key in ("stream", "sorted"):
        print(f"memory of the {key}: {client.memory_usage(key, samples=0) / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
