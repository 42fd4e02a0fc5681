"""Every case of RFC 6455 against a running engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.rfc6455.cases import CASES
from tests.rfc6455.play import play
from tests.support.engine import APP, Engine, running


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with running({}) as started:
        yield started


def test_every_case(engine: Engine) -> None:
    played = {(case.section, case.what): play(case, "127.0.0.1", engine.port, APP["key"]) for case in CASES}
    assert len(played) == len(CASES), "each has a name of its own"
    assert {name: problem for name, problem in played.items() if problem} == {}
