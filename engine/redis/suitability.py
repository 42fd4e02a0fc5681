"""Whether a server can do all that the engine will ever ask of it: each command and script is tried before the first
change of shared state, and again after each trouble, on keys that are nobody else's.

Half a script is worse than none: what stops in its middle has changed one thing and told nobody. So whoever writes asks
here first, and waits as for a server that is away. Shared by the stores of a worker.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError, OutOfMemoryError, ResponseError

from engine.config.redis import RedisOptions
from engine.config.root import Config
from engine.errors import StoreUnavailable, StoreUnsuitable
from engine.redis.scripts import Script, bounded, load, run, unsplit

#: The oldest that have every command.
NEEDED = "Redis 6.2 or Valkey 7.2"
TIMEOUT_S = 2.5
#: After a proof that failed the next one waits; whoever asks meanwhile gets the same answer.
AGAIN_S = 0.5
#: How long the keys of a proof live that was broken off.
LEFT_S = 60

_PROOF = load("suitability")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ground:
    """Where an engine's names are.

    :param state: prefix of the keys that scripts change. :param others: those of the keys that single commands change.
    :param topics: prefix of the topics that scripts publish to.
    """

    state: str
    others: tuple[str, ...]
    topics: str

    @classmethod
    def of(cls, config: Config, options: RedisOptions, state: str) -> Ground:
        """That of an engine with this configuration."""
        beside = options.beside_occupancy
        queue = beside(config.queue.redis.prefix)
        others = (queue, config.cache.redis.prefix, config.rate_limiter.redis.prefix, answers_prefix(config))
        return cls(state, others, beside(config.adapter.redis.prefix))


def answers_prefix(config: Config) -> str:
    """Of the keys that hold answers to requests with an idempotency key."""
    return f"{config.database.redis.key_prefix}idempotency:"


class Suitability:
    """:ivar on_change: called with what is wrong, in one line, or "" for nothing, whenever that has changed."""

    def __init__(self, client: Redis, ground: Ground, *, clustered: bool) -> None:
        self._client = client
        self._ground = ground
        self.on_change: Callable[[str], None] = _nobody_asks
        self._clustered = clustered
        self._proving = asyncio.Lock()
        self._failed: StoreUnavailable | None = None
        self._again_at = 0.0
        self._wrong = ""
        self.proved = False

    async def hold(self) -> None:
        """Return when the server is known to be suitable.

        Raises StoreUnsuitable, whose text names what is missing, and StoreUnavailable when it cannot be asked."""
        if self.proved:
            return
        async with self._proving:
            loop = asyncio.get_running_loop()
            if self._failed is not None and loop.time() < self._again_at:
                raise self._failed
            if self._is_proved():
                return
            try:
                await self._prove()
            except StoreUnavailable as error:
                self._failed, self._again_at = error, loop.time() + AGAIN_S
                raise
            self._failed, self.proved = None, True

    async def run(
        self, script: Script, keys: Sequence[str], args: Sequence[str | bytes | int], timeout_s: float
    ) -> Any:
        """`scripts.run`, but only where it is known to come to its end."""
        if not self.proved:
            await self.hold()
        try:
            return await run(self._client, script, keys, args, timeout_s)
        except StoreUnavailable:
            self.doubt()
            raise

    def doubt(self) -> None:
        """Something failed, or was connected to anew: it may be another server, or the rights may be others."""
        self.proved = False

    def _is_proved(self) -> bool:
        """By whoever had the lock before."""
        return self.proved

    async def look(self) -> tuple[str, str]:
        """What is missing, and what else is wrong, each in one line; "" for nothing.

        Raises StoreUnavailable when the server cannot be asked."""
        server = await self._server()
        return _named(server, await self._missing()), _evicts(server)

    async def _prove(self) -> None:
        missing, wrong = await self.look()
        self._say(missing or wrong)
        if missing:
            raise StoreUnsuitable(missing)

    def _say(self, wrong: str) -> None:
        if wrong == self._wrong:
            return
        if wrong:
            _log.error("%s", wrong)
        else:
            _log.info("Redis has all that is needed")
        self._wrong = wrong
        self.on_change(wrong)

    async def _server(self) -> dict[str, Any]:
        """What it says of itself; nothing when the user may not ask."""
        try:
            async with bounded("INFO", TIMEOUT_S):
                # Of a cluster any node's, for all are to be alike.
                info = await self._client.info() if not self._clustered else {}
        except StoreUnavailable as error:
            if isinstance(error.__cause__, ResponseError):
                return {}
            raise
        return {str(name): value for name, value in info.items()}

    async def _missing(self) -> dict[str, str]:
        """Command -> what the server says to it, of those that it refuses."""
        mine = secrets.token_hex(8)
        state = f"{self._ground.state}proof:{mine}:"
        missing: dict[str, str] = {}
        for name, error in await self._script(state):
            missing.setdefault(name, error)
        for command, error in await self._commands(state):
            missing.setdefault(command, error)
        return missing

    async def _script(self, base: str) -> list[tuple[str, str]]:
        keys = [base, unsplit(base)] if self._clustered else [base]
        args = [*keys, self._ground.topics]
        refused: list[tuple[str, str]] = []
        # Both are sent: the second where the server knows the script, which it then does.
        for command, code in (("EVAL", _PROOF.source), ("EVALSHA", _PROOF.sha)):
            try:
                async with bounded(command, TIMEOUT_S):
                    raw = await self._client.execute_command(command, code, len(keys), *args)  # type: ignore[no-untyped-call]
            except StoreUnavailable as error:
                if isinstance(error.__cause__, NoScriptError):
                    continue
                text = _refusal(error.__cause__)
                if text is None:
                    raise
                refused.append((command, text))
                continue
            words = [_text(word) for word in raw]
            for text in words[1::2]:
                if text.startswith(_TROUBLES):
                    raise StoreUnavailable(text)
            refused += zip(words[::2], words[1::2], strict=True)
        return refused

    async def _commands(self, base: str) -> list[tuple[str, str]]:
        """All that is sent without a script, each tried once."""
        tries: list[tuple[str | int | float, ...]] = [
            ("RPUSH", base + "l", "e"),
            ("LRANGE", base + "l", 0, 0),
            ("LLEN", base + "l"),
            ("BLMOVE", base + "l", base + "l", "LEFT", "LEFT", 0.001),
            ("SMEMBERS", base + "set"),
            ("ZRANGE", base + "z", 0, -1, "WITHSCORES"),
            ("ZREM", base + "z", "m"),
            ("ZCARD", base + "z"),
            ("HSCAN", base + "h", 0, "COUNT", 1),
            ("HGET", base + "h", "f"),
            ("HLEN", base + "h"),
            ("HGETALL", base + "h"),
            ("HDEL", base + "h", "f"),
            ("DEL", base + "l"),
        ]
        wrong = await self._try_all(tries)
        for prefix in self._ground.others:
            key = f"{prefix}proof:{secrets.token_hex(8)}"
            wrong += await self._try_all(
                [
                    ("SET", key, "written", "EX", LEFT_S, "NX"),
                    ("PTTL", key),
                    ("GETRANGE", key, 0, 99),
                    ("DEL", key),
                ],
                read="written",
            )
        if not self._clustered:
            wrong += await self._try_transaction(base + "t")
        return wrong

    async def _try_all(
        self, tries: Sequence[tuple[str | int | float, ...]], read: str | None = None
    ) -> list[tuple[str, str]]:
        async with bounded("proof", TIMEOUT_S), self._client.pipeline(transaction=False) as pipe:
            for command in tries:
                pipe.execute_command(*command)
            replies = await pipe.execute(raise_on_error=False)
        wrong = []
        for command, reply in zip(tries, replies, strict=True):
            name = str(command[0])
            if isinstance(reply, Exception):
                text = _refusal(reply)
                if text is None:
                    raise StoreUnavailable(f"{name}: {reply}") from reply
                wrong.append((name, text))
            elif name == "GETRANGE" and _text(reply) != read:
                wrong.append((name, "what was written is not read"))
        return wrong

    async def _try_transaction(self, key: str) -> list[tuple[str, str]]:
        try:
            async with bounded("MULTI", TIMEOUT_S), self._client.pipeline(transaction=True) as pipe:
                pipe.llen(key)
                await pipe.execute()
        except StoreUnavailable as error:
            text = _refusal(error.__cause__)
            if text is None:
                raise
            return [("MULTI", text)]
        return []


#: What a server says while it is away in a way that ends by itself, or that has a remedy of its own.
_TROUBLES = ("OOM", "MISCONF", "LOADING", "BUSY", "CLUSTERDOWN", "MOVED", "ASK", "TRYAGAIN", "MASTERDOWN", "NOREPLICAS")


def _refusal(error: BaseException | None) -> str | None:
    """What the server says to a command that it will never run as things are; None for any other trouble."""
    if not isinstance(error, ResponseError) or isinstance(error, OutOfMemoryError):
        return None
    return None if str(error).startswith(_TROUBLES) else str(error)


def _named(server: dict[str, Any], missing: dict[str, str]) -> str:
    """One line for the operator; "" when nothing is missing."""
    if not missing:
        return ""
    texts = {command: error.lower() for command, error in missing.items()}
    unknown = [command for command, text in texts.items() if "unknown" in text]
    if unknown:
        has_no = f"{_name(server)} has no {', '.join(unknown)}"
        return f"{has_no}: {NEEDED} is needed, with no command renamed or switched off"
    if any("readonly" in text or "read only" in text for text in texts.values()):
        return f"{_name(server)} is a replica, which takes no writes; name its master, or its Sentinels"
    for what in ("key", "channel"):
        # "at least one of the keys", "access a key", "access a channel"
        denied = [each for each in missing.items() if f"one of the {what}" in each[1] or f"access a {what}" in each[1]]
        if denied:
            command, text = denied[0]
            return f"the Redis user may not use all {what}s of the engine ({command}: {text})"
    if all("permission" in text or "can't run" in text for text in texts.values()):
        return f"the Redis user may not run {', '.join(missing)}"
    command, text = next(iter(missing.items()))
    return f"{_name(server)} does not do what is needed ({command}: {text})"


def _evicts(server: dict[str, Any]) -> str:
    """Any key may go at any time: members, channels and webhooks with it."""
    policy = str(server.get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys") and server.get("maxmemory"):
        return f"{_name(server)} may throw away shared state: its maxmemory-policy is {policy}, needed is noeviction"
    return ""


def _name(server: dict[str, Any]) -> str:
    valkey, version = server.get("valkey_version"), server.get("redis_version")
    if valkey:
        return f"Valkey {valkey}"
    return f"Redis {version}" if version else "Redis"


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _nobody_asks(_: str) -> None:
    """It stands in the log."""
