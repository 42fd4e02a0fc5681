"""AWS for the tests of senders and queues. Started once per test process, when the first test asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.aws import FailingLambda, MotoAws, failing_lambda, moto_aws


@pytest.fixture(scope="session")
def aws() -> Iterator[MotoAws]:
    with moto_aws() as started:
        yield started


@pytest.fixture
def standin() -> Iterator[FailingLambda]:
    """Lambda that fails as it is told."""
    with failing_lambda() as started:
        yield started
