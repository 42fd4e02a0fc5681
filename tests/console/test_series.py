"""Rates and percentiles, as the page computes them from its looks."""

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
import { perSecond, quantile } from "./series.mjs";
const look = (total, buckets) => ({ rates: { total }, buckets: { took: buckets } });
const context = { about: { bounds: { took: [0.1, 1] } } };
const looks = [look(10, [98, 1, 1]), look(0, [0, 0, 0]), look(0, [0, 0, 5])];
const of = (share, over, last) => quantile("took", share, context, looks, over, last);
console.log(JSON.stringify({
  rates: [perSecond("total", looks[0]), perSecond("another version's", looks[0])],
  quantiles: [of(0.5, 1, 0), of(0.99, 1, 0), of(1, 1, 0)],
  nothing: of(0.5, 1, 1),
  windows: [of(0.5, 2, 1), of(0.5, 2, 2)],
  latest: quantile("took", 0.9, context, looks),
}));
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("series")
    shutil.copy(STATIC / "series.js", folder / "series.mjs")
    (folder / "test.mjs").write_text(SCRIPT)
    done = subprocess.run(["node", "test.mjs"], cwd=folder, capture_output=True, text=True, timeout=60, check=True)
    return json.loads(done.stdout)


def test_what_is_not_counted_is_nothing(found: Any) -> None:
    assert found["rates"] == [10, 0]


def test_a_percentile_is_the_bound_of_its_bucket(found: Any) -> None:
    # What is beyond all bounds is shown as the last one.
    assert found["quantiles"] == [0.1, 1, 1]
    # 98 of 105 are in the first.
    assert found["latest"] == 0.1


def test_only_the_looks_of_the_window_count(found: Any) -> None:
    assert (found["nothing"], found["windows"]) == (None, [0.1, 1])
