"""The console asks a worker: over the real socket, from the console's own side."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.console import workers as module
from engine.console.workers import Workers
from engine.control import CONSOLE_SOCKETS
from engine.errors import ApiError, StoreUnavailable
from engine.tap.tap import Tap
from engine.worker import console_link
from engine.worker.console_link import ConsoleLink
from tests.support.waiting import until


async def echo(asked: dict[str, Any]) -> dict[str, Any]:
    return {"said": asked["said"]}


async def refuse(_: dict[str, Any]) -> dict[str, Any]:
    raise ApiError(400, "invalid_input", "not like this")


async def away(_: dict[str, Any]) -> dict[str, Any]:
    raise StoreUnavailable("Redis is away")


async def broken(_: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("a fault")


async def never(_: dict[str, Any]) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


CALLS = {"echo": echo, "refuse": refuse, "away": away, "broken": broken, "never": never}


@asynccontextmanager
async def link(directory: Path, place: int = 0) -> AsyncIterator[ConsoleLink]:
    started = ConsoleLink(directory / CONSOLE_SOCKETS.format(place), CALLS, Tap())
    await started.start()
    try:
        yield started
    finally:
        await started.stop()


async def test_questions_are_answered_or_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asked = Workers(tmp_path)
    with pytest.raises(StoreUnavailable, match="no worker answers"):
        await asked.ask("echo", said=1)
    async with link(tmp_path):
        assert await asked.ask("echo", said="x" * 1_000_000) == {"said": "x" * 1_000_000}
        with pytest.raises(ApiError, match="not like this") as refused:
            await asked.ask("refuse")
        assert refused.value.status == 400
        with pytest.raises(StoreUnavailable, match="Redis is away"):
            await asked.ask("away")
        for name in ("broken", "unknown"):
            with caplog.at_level(logging.CRITICAL), pytest.raises(ApiError, match="its log says more"):
                await asked.ask(name)


async def test_a_worker_that_does_not_answer_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead, stuck, and one that serves."""
    monkeypatch.setattr(module, "TIMEOUT_S", 0.05)
    asked = Workers(tmp_path)
    with socket.socket(socket.AF_UNIX) as dead, socket.socket(socket.AF_UNIX) as stuck:
        dead.bind(str(tmp_path / CONSOLE_SOCKETS.format(0)))
        stuck.bind(str(tmp_path / CONSOLE_SOCKETS.format(1)))
        stuck.listen()
        async with link(tmp_path, 2):
            assert await asked.ask("echo", said=1) == {"said": 1}
            with pytest.raises(StoreUnavailable, match="it may be done"):
                await asked.ask("echo", said=1, changes=True)


async def test_nonsense_ends_its_own_connection(tmp_path: Path) -> None:
    async with link(tmp_path):
        for nonsense in (b"\n", b"{\n", b"[]\n", b"", b'{"ask":"echo"}\n'):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / CONSOLE_SOCKETS.format(0)))
            writer.write(nonsense)
            writer.write_eof()
            await reader.read()
            writer.close()
        assert await Workers(tmp_path).ask("echo", said=1) == {"said": 1}


async def test_a_successor_takes_the_place_and_nobody_waits_for_the_end(tmp_path: Path) -> None:
    asked = Workers(tmp_path)
    async with link(tmp_path):
        waiting = asyncio.ensure_future(asked.ask("never"))
        assert await asked.ask("echo", said=1) == {"said": 1}
    async with link(tmp_path):
        assert await asked.ask("echo", said=2) == {"said": 2}
        with pytest.raises(StoreUnavailable):
            await waiting


async def test_only_so_many_look_on_and_whoever_goes_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_link, "MAX_WATCHERS", 1)
    path = tmp_path / CONSOLE_SOCKETS.format(0)
    told: list[str] = []

    def watching(name: str) -> asyncio.Task[None]:
        return asyncio.create_task(module.watch(path, "1", lambda _: told.append(name)))

    async with link(tmp_path) as started:
        for name in ("first", "third"):
            one = watching(name)
            await until(lambda: told[-1:] == [name])  # noqa: B023 (waited for within this round)
            await watching("too many")  # ends by itself
            one.cancel()
            await asyncio.wait([one])
            await until(lambda: not started._watched)
    assert told == ["first", "third"]


async def test_a_path_that_cannot_be_had_ends_no_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with link(tmp_path / "nowhere"):
        assert "the console cannot ask this worker" in caplog.text
