"""Plays a rule on a server and says whether it holds. Called by the tests and by ``python -m tests.conformance``."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any

import aiohttp

from tests.conformance import http, libraries
from tests.conformance.match import mismatch
from tests.conformance.rule import (
    MAIN,
    Call,
    Closed,
    Connect,
    Gets,
    Leave,
    Library,
    Next,
    Rule,
    Send,
    Signed,
    SignIn,
    Silent,
    Step,
    Subscribe,
)
from tests.support.client import PusherClient, connected
from tests.support.node import NodeJs
from tests.support.signing import channel_auth, compact, sign, user_auth

WAIT_S = 10.0
SLOW_WAIT_S = 50.0
RETRY_S = 0.02
PING = "pusher:ping"
_unique = itertools.count()
_run = uuid.uuid4().hex[:6]


@dataclass(frozen=True, slots=True)
class App:
    id: str
    key: str
    secret: str


@dataclass(frozen=True, slots=True)
class Target:
    """A server that rules are played on.

    :param urls: of its nodes, such as ``http://127.0.0.1:6001``. Client ``a`` goes to the first, all else to the last.
    :param apps: by the names of `rule.py`. :param foreign: it was not started for this.
    :param has: what of the rules' `needs` it is configured for all the same.
    :param node: the JavaScript libraries; None where they cannot run, for the reason in `no_node`.
    """

    name: str
    urls: tuple[str, ...]
    apps: dict[str, App] = field(repr=False)
    foreign: bool = False
    has: frozenset[str] = frozenset()
    node: NodeJs | None = None
    no_node: str = ""


class NotAsExpected(Exception):
    """The server does not do what the rule says."""


def why_skipped(rule: Rule, target: Target) -> str:
    """Why the rule cannot be played there; "" when it can."""
    if rule.app not in target.apps:
        return f"needs an app configured as {rule.app!r} in topologies.py"
    if target.foreign and not set(rule.needs.split(" and ")) <= target.has | {""}:
        return f"needs {rule.needs}"
    uses_node = any(isinstance(step, Library) and not step.name.startswith("python") for step in rule.steps)
    return target.no_node if uses_node and target.node is None else ""


def play(rule: Rule, target: Target) -> None:
    """Raises NotAsExpected, with the number of the step, when the rule does not hold."""
    asyncio.run(play_async(rule, target))


async def play_async(rule: Rule, target: Target) -> None:
    async with AsyncExitStack() as stack:
        player = _Player(rule, target, stack)
        for number, step in enumerate(rule.steps, 1):
            try:
                await player.act(step)
            except (AssertionError, NotAsExpected, aiohttp.ClientError, OSError, TimeoutError) as problem:
                told = str(problem) or type(problem).__name__
                raise NotAsExpected(f"step {number}, {step}: {told}") from problem


class _Player:
    """One rule being played."""

    def __init__(self, rule: Rule, target: Target, stack: AsyncExitStack) -> None:
        self._target = target
        self._stack = stack
        self._app = target.apps[rule.app]
        self._wait_s = SLOW_WAIT_S if rule.slow else WAIT_S
        self._clients: dict[str, PusherClient] = {}
        self._token = f"{_run}-{next(_unique)}-"  # no token begins with another

    async def act(self, step: Step) -> None:
        step = self._resolved(step)
        actions: dict[type, Callable[[Any], Any]] = {
            Connect: self._connect,
            Send: self._send,
            Subscribe: self._subscribe,
            SignIn: self._sign_in,
            Gets: self._gets,
            Next: self._next,
            Silent: self._silent,
            Closed: self._closed,
            Leave: self._leave,
            Call: self._call,
            Library: self._library,
        }
        await actions[type(step)](step)

    # --- one for each step

    async def _connect(self, step: Connect) -> None:
        url = self._url(step.who).replace("http", "ws", 1)
        client = await self._stack.enter_async_context(
            connected(url, step.key, self._app.secret, query=step.query, wait=False, headers=step.headers)
        )
        client.key = self._app.key
        self._clients[step.who] = client
        for text in step.early:
            await client.send_text(text)
        frame = await client.take(lambda _: True, self._wait_s, "first frame")
        _demand(mismatch(step.first, frame))
        if frame["event"] == "pusher:connection_established":
            client.socket_id = json.loads(frame["data"])["socket_id"]

    async def _send(self, step: Send) -> None:
        client = self._clients[step.who]
        if isinstance(step.message, bytes):
            await client.websocket.send_bytes(step.message)
        else:
            await client.send_text(step.message if isinstance(step.message, str) else compact(step.message))

    async def _subscribe(self, step: Subscribe) -> None:
        client = self._clients[step.who]
        data: dict[str, Any] = {"channel": step.channel}
        if step.member is not None:
            data["channel_data"] = step.member if isinstance(step.member, str) else compact(step.member)
        if step.auth is not None:
            data["auth"] = step.auth
        elif step.channel.startswith(("private-", "presence-")):
            app, signed = self._app, data.get("channel_data")
            data["auth"] = channel_auth(app.key, app.secret, client.socket_id, step.channel, signed)
        await client.send("pusher:subscribe", data)

    async def _sign_in(self, step: SignIn) -> None:
        client, app = self._clients[step.who], self._app
        user_data = step.user if isinstance(step.user, str) else compact(step.user)
        auth = step.auth or user_auth(app.key, app.secret, client.socket_id, user_data)
        await client.send("pusher:signin", {"auth": auth, "user_data": user_data})

    async def _gets(self, step: Gets) -> None:
        wanted = {name: step.frame[name] for name in ("event", "channel") if isinstance(step.frame.get(name), str)}
        frame = await self._clients[step.who].take(
            lambda frame: wanted.items() <= frame.items(), self._wait_s, f"{step.frame['event']}"
        )
        _demand(mismatch(step.frame, frame))

    async def _next(self, step: Next) -> None:
        for pattern in step.frames:
            frame = await self._clients[step.who].take(lambda frame: frame["event"] != PING, self._wait_s)
            _demand(mismatch(pattern, frame))

    async def _silent(self, step: Silent) -> None:
        left = [frame for frame in await self._clients[step.who].settle() if frame["event"] != PING]
        _demand(f"{step.who} has got {left}" if left else "")

    async def _closed(self, step: Closed) -> None:
        code = await self._clients[step.who].wait_closed(self._wait_s)
        _demand("" if code in step.codes else f"closed with {code}")

    async def _leave(self, step: Leave) -> None:
        await self._clients[step.who].close()

    async def _call(self, step: Call) -> None:
        end = asyncio.get_running_loop().time() + self._wait_s
        while True:
            answer = await asyncio.to_thread(
                http.ask, self._url(""), self._app.id, self._app.key, self._app.secret, step
            )
            wrong = http.difference(step, answer)
            if not wrong or not step.eventually or asyncio.get_running_loop().time() > end:
                _demand(wrong)
                return
            await asyncio.sleep(RETRY_S)

    async def _library(self, step: Library) -> None:
        call = libraries.python if step.name.startswith("python.") else libraries.javascript
        try:
            result = await asyncio.to_thread(
                call, self._target.node, self._url(step.args.get("who", "")), self._app, step
            )
        except Exception as problem:  # noqa: BLE001 (libraries raise what they like)
            told = f"{type(problem).__name__}: {problem}"
            _demand("" if step.raises and step.raises in told else f"it raises {told}")
        else:
            _demand(f"it raises nothing, and gives {result}" if step.raises else mismatch(step.result, result))

    # --- helpers

    def _url(self, who: str) -> str:
        return self._target.urls[0 if who == "a" else -1]

    def _resolved(self, value: Any) -> Any:
        """The same with every placeholder filled in."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Signed):
            text = self._text(value.text)
            key = self._app.key if value.key is None else value.key
            digest = sign(value.secret or self._app.secret, text)
            return f"{key}:{digest.upper() if value.upper else digest}"
        if isinstance(value, dict):
            return {self._resolved(name): self._resolved(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self._resolved(item) for item in value)
        if is_dataclass(value) and not isinstance(value, type):
            return replace(value, **{each.name: self._resolved(getattr(value, each.name)) for each in fields(value)})
        return value

    def _text(self, text: str) -> str:
        if "~" not in text and "<" not in text:
            return text
        text = text.replace("~", self._token).replace("<key>", self._app.key).replace("<id>", self._app.id)
        for who, client in self._clients.items():
            text = text.replace(f"<{who}>", client.socket_id)
        return text


def _demand(wrong: str) -> None:
    if wrong:
        raise NotAsExpected(wrong)


def main_app(id_: str, key: str, secret: str) -> dict[str, App]:
    """The apps of a server of which only one is known."""
    return {MAIN: App(id_, key, secret)}
