"""Engines that the tests of this folder share, one per number of workers and test process.

Tests take channel names of their own (`unique`), so that they can run in any order on the same engine.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest

from tests.integration.shared_apps import further_apps
from tests.support.engine import APP, Engine, running
from tests.support.node import NodeJs, missing
from tests.support.receiver import WebhookReceiver

EVERY_EVENT = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event", "cache_miss"]
#: Webhooks of this one carry the bare digest, which is what the official libraries verify.
HEX_APP = APP | {"id": "2", "key": "hex-key", "secret": "hex-secret"}
_numbers = itertools.count()


@pytest.fixture(scope="session")
def hooks() -> Iterator[WebhookReceiver]:
    """The webhook endpoint of the shared engines: ``/hook`` for app 1, ``/hex`` for app 2, and those of `shared_apps`.

    It always answers 200.
    """
    with WebhookReceiver() as receiver:
        yield receiver


@pytest.fixture(scope="session")
def shared_engine(hooks: WebhookReceiver) -> Iterator[Callable[[int], Engine]]:
    """Gives the engine with so many workers; whoever asks first waits for its start, and it runs to the end."""
    config = shared_config(hooks) | {"ssl": {"trust_forwarded_proto": True}}
    config["app_manager"]["array"]["apps"] += further_apps(hooks.url)
    with ExitStack() as stack:
        yield cache(lambda workers: stack.enter_context(running(config, workers)))


@pytest.fixture(params=[1, 2], ids=["1-worker", "2-workers"])
def engine(request: pytest.FixtureRequest, shared_engine: Callable[[int], Engine]) -> Engine:
    """A running engine that other tests use too. Kill nothing in it."""
    return shared_engine(request.param)


@pytest.fixture
def unique() -> Callable[[str], str]:
    """Makes a name that no other test uses: ``unique("private-room")``."""

    def name(stem: str) -> str:
        return f"{stem}-{os.getpid()}-{next(_numbers)}"

    return name


@pytest.fixture(scope="session")
def node() -> Iterator[NodeJs]:
    """The official JavaScript clients; the test is skipped where they cannot run."""
    if reason := missing():
        pytest.skip(reason)
    with NodeJs() as started:
        yield started


def shared_config(hooks: WebhookReceiver) -> dict[str, Any]:
    """Two apps, each with a webhook that wants everything, told at once."""
    plain = APP | {"webhooks": [{"url": f"{hooks.url}/hook", "event_types": EVERY_EVENT}]}
    bare = HEX_APP | {
        "webhooks": [{"url": f"{hooks.url}/hex", "event_types": EVERY_EVENT, "signature_format": "hex"}],
    }
    return {"app_manager": {"array": {"apps": [plain, bare]}}}
