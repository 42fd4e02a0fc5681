"""Lua scripts by name, run over redis-py: EVALSHA first, EVAL once where the server does not know the script yet.

Never retries by itself: a caller knows whether it may.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.exceptions import NoScriptError, RedisError

from engine.errors import EngineError, StoreUnavailable
from engine.tasks import within

_FOLDER = Path(__file__).parent / "lua"
#: What stands in front of something shared, whoever shares it.
_BELOW = {"occupancy_common": "shared_keys"}
_COMMAND = re.compile(r"call\(\s*'([A-Z]+)'")
#: The last two can be done without.
_ON_NO_KEY = {"TIME", "MEMORY", "INFO"}
#: Faults of our own and errors that say already what they mean: no library's, and never to be waited out.
_OURS = (EngineError, AssertionError)


class Script:
    """One script: its name in messages, its text, and the digest by which Redis knows it.

    :param whole: it changes more keys than those that it is called with, all of the same slot.
    """

    __slots__ = ("name", "sha", "source", "whole")

    def __init__(self, name: str, source: str, whole: bool) -> None:
        self.name = name
        self.whole = whole
        self.source = source
        self.sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


def load(name: str, *, common: str | tuple[str, ...] = ()) -> Script:
    """The script `lua/<name>.lua`, with each `lua/<common>.lua` in front, since Redis' Lua cannot require a file.

    Those that share something change more than one thing; `lua/rights.lua` has them do all of it or nothing.
    """
    parts = [common, name] if isinstance(common, str) else [*common, name]
    parts[:0] = [below for part in parts if (below := _BELOW.get(part))]
    source = "\n".join(_text(part) for part in parts)
    if not common:
        return Script(name, source, whole=False)
    return Script(name, _rights(commands(source)) + source, whole=True)


def commands(source: str) -> list[str]:
    """Names of the commands on keys that a script cannot do without."""
    return sorted(set(_COMMAND.findall(source)) - _ON_NO_KEY)


async def run(
    client: Redis | RedisCluster,
    script: Script,
    keys: Sequence[str],
    args: Sequence[str | bytes | int],
    timeout_s: float,
) -> Any:
    """Run a script and give its reply.

    Raises StoreUnavailable when Redis cannot be reached, does not answer within `timeout_s`, or refuses (read-only
    replica, out of memory, still loading). After a time-out the script may nevertheless have run.
    """
    if script.whole and isinstance(client, RedisCluster):
        keys = [*keys, unsplit(keys[0])]
    try:
        async with within(timeout_s):
            try:
                return await client.evalsha(script.sha, len(keys), *keys, *args)
            except NoScriptError:
                return await client.eval(script.source, len(keys), *keys, *args)
    except _OURS:
        raise
    except Exception as error:
        raise _unavailable(script.name, error) from error


def _text(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text("utf-8")


def _rights(names: Sequence[str]) -> str:
    return _text("rights").replace("COMMANDS", ", ".join(f"'{name}'" for name in names)) + "\n"


def unsplit(key: str) -> str:
    """A second key for a script that changes more than `key`, in the same slot; neither of them ever exists.

    While a slot is moved key by key, some of its keys are here and some there, and a script that names one key is let
    through to where most are missing. One that names two which are not there is refused (TRYAGAIN) by both nodes.
    """
    return key + "unsplit"


@asynccontextmanager
async def bounded(what: str, timeout_s: float) -> AsyncIterator[None]:
    """Plain commands with the same promise as `run`."""
    try:
        async with within(timeout_s):
            yield
    except _OURS:
        raise
    except Exception as error:
        raise _unavailable(what, error) from error


def _unavailable(what: str, error: Exception) -> StoreUnavailable:
    """What the library raised, whatever that is, as the one error that callers wait out and try again.

    Not all of it is of the library's own family. A connection that another task closed while a command was on its way
    gives AttributeError (redis-py 8.1), and one that uvloop has closed gives RuntimeError; neither may end the task
    that asked. A type that is not to be expected is named, so that the log shows it.
    """
    if isinstance(error, RedisError | OSError):
        return StoreUnavailable(f"{what}: {str(error) or type(error).__name__}")
    return StoreUnavailable(f"{what}: {type(error).__name__}: {error}")
