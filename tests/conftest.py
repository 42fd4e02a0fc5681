"""Fixtures of the whole suite. Real servers, each on a unix socket or a free port of 127.0.0.1, gone at the end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import inspect
import os
import signal
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from engine.machine.collector import resting
from engine.worker.loop import Loop
from tests.support.aws import MotoAws, moto_aws
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.valkey_cluster import ValkeyCluster

#: Files, each of which stays in one process.
LONGEST = ("tests/simulation/", "tests/conformance/", "tests/integration/test_restart", "tests/occupancy/test_model")
# How long an example takes on a busy machine says nothing about the code.
settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
# A shell ignores SIGINT for what it starts in the background, and so would the programs that tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None]:
    """What is collected stays to the end, in a hundred thousand objects: nobody need look whether it is garbage."""
    with resting():
        if session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
            _import_share()
        return (yield)


def _import_share() -> None:
    """Import first what the processes beside this one do not.

    Each of them collects all tests, in the same order. Left to themselves in a new checkout, all would rewrite the
    assertions of all files at the same time, to find that the others had done it too.
    """
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("test_*.py"))[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]:
        # What cannot be imported, pytest tells of when it comes to that file.
        with contextlib.suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(path.relative_to(folder.parent).with_suffix("").parts))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes a minute by itself begins first: begun last, it would keep one process when the others have ended."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """The loop of the workers, which an asynchronous test shares with its fixtures and nobody else."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        yield runner


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a test that is a coroutine."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    runner: asyncio.Runner = pyfuncitem._request.getfixturevalue("loop")
    runner.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Generator[None]:
    """Begin and end a fixture that is an asynchronous generator."""
    function = fixturedef.func
    if inspect.isasyncgenfunction(function):
        fixturedef.func = functools.partial(_in_loop, request.getfixturevalue("loop"), function)
    try:
        return (yield)
    finally:
        fixturedef.func = function


def _in_loop(loop: asyncio.Runner, fixture: Callable[..., AsyncIterator[object]], **arguments: Any) -> Iterator[object]:
    async def step() -> object:
        return await anext(generator, None)

    generator = fixture(**arguments)
    yield loop.run(step())
    loop.run(step())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[ValkeyServer]:
    """The Valkey that all tests of this test process share. Never kill, pause or flush it; start your own for that."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: ValkeyServer) -> str:
    """``unix://`` URL of the shared Valkey; every test takes a key prefix of its own."""
    return redis_server.url


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[ValkeyCluster]:
    """Three masters that all tests of this test process share. Never harm it; start your own for that."""
    with ValkeyCluster() as cluster:
        yield cluster


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A webhook endpoint on 127.0.0.1 that records what it is sent."""
    with WebhookReceiver() as started:
        yield started


@pytest.fixture(scope="session")
def aws() -> Iterator[MotoAws]:
    """Lambda and SQS on 127.0.0.1 that all tests of this test process share."""
    with moto_aws() as started:
        yield started
