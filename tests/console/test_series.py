"""Rates and percentiles, as the page computes them from two looks."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from engine.console.server import STATIC
from tests.support import node

pytestmark = pytest.mark.skipif(bool(node.missing()), reason=node.missing())

SCRIPT = """
import { perSecond, quantile, quantileBetween } from "./series.mjs";
const look = (time_ms, total, buckets) => ({ time_ms, sums: { total }, buckets: { took: buckets } });
const context = { about: { bounds: { took: [0.1, 1] } } };
const looks = [look(0, 10, [0, 0, 0]), look(2000, 30, [98, 1, 1]), look(3000, 5, [98, 1, 1])];
const between = (share, first, last) => quantileBetween("took", share, context, looks[first], looks[last]);
console.log(JSON.stringify({
  rate: perSecond("total", looks[0], looks[1]),
  restarted: perSecond("total", looks[1], looks[2]),
  first: perSecond("total", undefined, looks[0]),
  again: perSecond("total", looks[0], looks[0]),
  quantiles: [between(0.5, 0, 1), between(0.99, 0, 1), between(1, 0, 1)],
  nothing: [between(0.5, 1, 2), between(0.5, 1, 1), quantile("took", 0.5, context, [looks[0]])],
  latest: quantile("took", 0.99, context, looks),
}));
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("series")
    shutil.copy(STATIC / "series.js", folder / "series.mjs")
    (folder / "test.mjs").write_text(SCRIPT)
    done = subprocess.run(["node", "test.mjs"], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_rates_never_fall_below_nothing(found: Any) -> None:
    assert (found["rate"], found["restarted"], found["first"], found["again"]) == (10, 0, 0, 0)


def test_a_percentile_is_the_bound_of_its_bucket(found: Any) -> None:
    # What is beyond all bounds is shown as the last one.
    assert found["quantiles"] == [0.1, 1, 1]
    assert found["latest"] == 1


def test_of_nothing_there_is_none(found: Any) -> None:
    assert found["nothing"] == [None, None, None]
