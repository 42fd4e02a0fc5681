"""A worker that has hardly any descriptor left: newcomers are told to come later, and publishing goes on."""

from __future__ import annotations

import re
import resource
from contextlib import AsyncExitStack

from tests.support.client import connected
from tests.support.engine import running

FILES = 150


async def test_newcomers_are_told_and_publishes_go_on() -> None:
    with running(noise=re.compile(r"Traceback|CRITICAL"), files=FILES) as engine:
        (worker,) = engine.workers()
        assert resource.prlimit(worker, resource.RLIMIT_NOFILE) == (FILES, FILES), "the soft limit was raised"
        assert f"each worker may have {FILES} files open" in engine.log()
        async with AsyncExitStack() as stack:
            codes = []
            for _ in range(FILES):
                client = await stack.enter_async_context(connected(engine.ws_url, wait=False))
                frame = await client.take(lambda frame: True)
                if frame["event"] == "pusher:error":
                    codes.append(frame["data"]["code"])
                    await client.wait_closed()
            assert set(codes) == {4100}
            assert len(codes) < FILES
            engine.trigger("room", "e")
            assert engine.raw("GET", "/ready").status == 200
        assert engine.log().count("newcomers are sent away") == 1
