"""The load client finds what a server loses or doubles, and counts right on one that does neither."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load.load_client import connected
from benchmarks.load.requests import write_requests
from benchmarks.load.servers.base import Need
from benchmarks.load.servers.engine import Engine
from benchmarks.load.servers.floor import Floor
from tests.benchmarks.careless import careless

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")

CORES = os.sched_getaffinity(0)
RATE, SECONDS, SUBSCRIBERS = 100, 0.5, 3


def run(folder: Path, port: int, **options: Any) -> dict[str, Any]:
    """The client's last line."""
    requests = folder / "requests"
    write_requests(requests, port, "bench-", options.get("channels", 1), 100)
    common = {"port": port, "warmup": 0, "seconds": SECONDS, "pubs": 2, "requests": requests}
    with connected(None, common | options) as client:
        client.wait_for("ready")
        client.go()
        return client.wait_for("done")


@pytest.mark.parametrize(
    ("copies", "missing", "duplicates"),
    [({}, 0, 0), ({3: 0}, SUBSCRIBERS, 0), ({3: 2}, 0, SUBSCRIBERS), ({3: 0, 4: 3}, SUBSCRIBERS, 2 * SUBSCRIBERS)],
    ids=["faultless", "one lost", "one doubled", "both"],
)
def test_finds_what_is_lost_or_doubled(tmp_path: Path, copies: dict[int, int], missing: int, duplicates: int) -> None:
    with careless(copies) as port:
        done = run(tmp_path, port, conns=SUBSCRIBERS, rate=RATE)
    assert done["rejected"] == done["lost"] == 0
    assert done["answered"] > 0
    assert (done["missing"], done["duplicates"]) == (missing, duplicates)


@pytest.mark.parametrize("processes", [1, 3])
def test_counts_every_delivery_of_the_floor(tmp_path: Path, processes: int) -> None:
    with Floor().running(CORES, Need()) as started:
        done = run(tmp_path, started.port, conns=30, pubs=3, processes=processes)
    assert done["sent_in_all"] > 0
    assert (done["missing"], done["duplicates"], done["rejected"], done["lost"]) == (0, 0, 0, 0)
    assert done["delivery"]["count"] > 0
    assert 0 < done["delivery"]["p50_us"] <= done["delivery"]["p99_us"] <= done["delivery"]["max_us"]


def test_every_kind_of_load_runs_on_the_engine(tmp_path: Path) -> None:
    chat = {"mode": "chat", "conns": 20, "channels": 4, "prefix": "private-bench-"}
    churn = {"mode": "churn", "conns": 20, "channels": 2, "observers": 3, "prefix": "presence-bench-"}
    loads: list[dict[str, Any]] = [{"conns": 20, "channels": 4}, {"conns": 20, "depth": 4}, chat, churn]
    loads += [each | {"rate": RATE} for each in loads]
    with Engine().running(CORES, Need()) as started:
        for load in loads:
            done = run(tmp_path, started.port, processes=2, **load)
            assert done["deliveries"] > 0, load
            assert (done["missing"], done["duplicates"], done["rejected"], done["lost"]) == (0, 0, 0, 0), load
