"""Fixtures of the webhook tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.aws import FailingLambda, failing_lambda


@pytest.fixture
def standin() -> Iterator[FailingLambda]:
    """Lambda that fails as it is told."""
    with failing_lambda() as started:
        yield started
