"""Redis behind something that does harm to connections: the worker survives and serves as before."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.redis_behind_proxy import behind, survive
from tests.support.bad_proxy import BAD, BadProxy, Mode
from tests.support.engine import Engine
from tests.support.receiver import WebhookReceiver


@pytest.fixture(scope="module")
def scene() -> Iterator[tuple[Engine, BadProxy, WebhookReceiver]]:
    with WebhookReceiver() as receiver, behind(receiver) as (engine, proxy):
        yield engine, proxy, receiver


@pytest.mark.parametrize("mode", BAD)
async def test_the_worker_survives_and_serves_as_before(
    mode: Mode, scene: tuple[Engine, BadProxy, WebhookReceiver]
) -> None:
    await survive(*scene, mode, f"private-cache-{mode}")
