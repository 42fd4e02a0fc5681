"""Two webhook endpoints in a process of their own: one notes when each event arrives, the other may be a black hole.

Started by `benchmarks/webhooks/__main__.py`. An event's data is the nanosecond at which it was sent.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from aiohttp import web


class Endpoints:
    """:ivar url: of both; the one that notes is `/good`, the other `/second`."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self.url: str = pipe.recv()

    def second_answers(self, answers: bool) -> None:
        """Whether the second one answers at all."""
        self._ask(answers)

    def latencies_ms(self) -> list[float]:
        """Of all events that came to the good one since the last call, in order of arrival."""
        return self._ask(None)

    def _ask(self, question: bool | None) -> list[float]:
        self._pipe.send(question)
        answer: list[float] = self._pipe.recv()
        return answer


@contextmanager
def endpoints() -> Iterator[Endpoints]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_main, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    try:
        yield Endpoints(ours)
    finally:
        ours.close()
        process.join(5)
        process.kill()


def _main(pipe: Connection) -> None:
    asyncio.run(_serve(pipe))


async def _serve(pipe: Connection) -> None:
    latencies_ms: list[float] = []
    answering = asyncio.Event()
    end = asyncio.get_running_loop().create_future()

    async def good(request: web.Request) -> web.Response:
        now = time.time_ns()
        for event in json.loads(await request.read())["events"]:
            latencies_ms.append((now - int(event["data"])) / 1e6)
        return web.Response()

    async def second(request: web.Request) -> web.Response:
        await request.read()
        await answering.wait()
        return web.Response()

    def on_question() -> None:
        try:
            question = pipe.recv()
        except EOFError:
            end.set_result(None)
            asyncio.get_running_loop().remove_reader(pipe.fileno())
            return
        if question is None:
            pipe.send(latencies_ms[:])
            latencies_ms.clear()
        else:
            (answering.set if question else answering.clear)()
            pipe.send([])

    app = web.Application()
    app.router.add_post("/good", good)
    app.router.add_post("/second", second)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    asyncio.get_running_loop().add_reader(pipe.fileno(), on_question)
    await end
    await runner.cleanup()
