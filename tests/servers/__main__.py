"""`make servers`: plays Redis and Valkey servers with two workers, and prints the table of docs/redis.md.

``--server PATH`` names a server's program, once for each; without it the one of the test requirements is played. Where
others are to be had, docs/redis.md says.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from tests.servers.scenes import SCENES, config, play
from tests.support.engine import Engine, launch, prepare
from tests.support.receiver import WebhookReceiver
from tests.support.restricted import user_made
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

WELL = "yes"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("--server", action="append", default=[], help="a program; may be given several times")
    parser.add_argument("--only", nargs="*", default=list(SCENES), help=f"of: {', '.join(SCENES)}")
    options = parser.parse_args(arguments)
    print(f"| server | {' | '.join(options.only)} |\n|---|{'---|' * len(options.only)}", flush=True)
    wrong = 0
    for program in options.server or [None]:
        name, answers = row(program, options.only)
        wrong += any(answer != WELL for answer in answers)
        print(f"| {name} | {' | '.join(answers)} |", flush=True)
    return 1 if wrong else 0


def row(program: str | None, names: Sequence[str]) -> tuple[str, list[str]]:
    """The server with its version, and what came of each scene; of one that is refused, what `/ready` says."""
    with ValkeyServer(program=program) as server, WebhookReceiver() as receiver:
        with server.client() as admin:
            name = _name(admin.info("server"))
        with _started(config(_address(server), receiver)) as engine:
            said = wait_until(lambda: _said(engine), 60, "an answer of /ready")
            if said != "OK":
                return name, [f"refused: {said}", *[""] * (len(names) - 1)]
            played = [asyncio.run(play(SCENES[each], server, engine, receiver)) for each in names]
    return name, [problem or WELL for problem in played]


def _address(server: ValkeyServer) -> str:
    """Of a user with the rights that are needed, where there are rights to channels."""
    try:
        return user_made(server)
    except redis.exceptions.ResponseError:
        return server.url


def _name(info: dict[str, Any]) -> str:
    valkey = info.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {info['redis_version']}"


@contextmanager
def _started(given: dict[str, object]) -> Iterator[Engine]:
    """Two workers, ready or not."""
    folder, merged = prepare(given)
    engine = Engine(launch(folder, 2), folder, merged)
    try:
        yield engine
    finally:
        engine.terminate()
        shutil.rmtree(folder)


def _said(engine: Engine) -> str:
    """By `/ready`: OK, or what the server lacks; "" while neither is known."""
    try:
        if len(engine.workers()) < 2:
            return ""
        answer = engine.raw("GET", "/ready")
    except OSError:
        return ""
    if answer.status == 200:
        return "OK"
    lines = [line for line in engine.log().splitlines() if " ERROR " in line and "engine.redis.suitability: " in line]
    return lines[0].partition("engine.redis.suitability: ")[2] if lines and "is needed" in answer.body.decode() else ""


if __name__ == "__main__":
    sys.exit(main())
