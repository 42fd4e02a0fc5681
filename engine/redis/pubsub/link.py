"""One RESP connection over hiredis for the hot path: commands pipelined in order, reconnecting by itself.

The adapter publishes and subscribes through it, to the server that the options name or that Sentinel calls the master.
Everything to Redis that is not hot uses redis-py instead.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable
from typing import Any, Protocol, cast

import hiredis

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable
from engine.peers.guard import in_words, keep
from engine.redis.scripts import Script
from engine.redis.sentinel import MasterFinder
from engine.redis.tls import client_context
from engine.tasks import cancel, within

#: It is looked so often whether anything has arrived on a connection. When nothing has since the last look, it is asked
#: for a sign of life; when nothing has for so many looks in a row, it is given up. Together this keeps the promise to
#: notice a lost Redis within 3 s. Counted in turns of this loop, not in seconds: a process that was stopped itself has
#: not listened, and what it missed waits to be read.
LOOK_EVERY_S = 0.5
MAX_SILENT = 4
SILENCE_S = LOOK_EVERY_S * MAX_SILENT
#: Asked for by leaving a topic that nobody is in, which any server answers in any state. A Redis whose last snapshot
#: failed refuses PING (MISCONF), and so does one that is loading. Valkey 8.0 answers with an error, NOSUB, where there
#: is no subscription, which is as good a sign.
ALIVE = b"alive"
CONNECT_TIMEOUT_S = 2.0
RETRY_MIN_S, RETRY_MAX_S = 0.05, 1.0
#: With Sentinel, how often it is asked whether the master is still the same: one that was cut off does not know.
FOLLOW_EVERY_S = 1.0
#: Questions answered after which a connection is steady, and its next loss is logged again.
STEADY_AFTER = 10
#: Different troubles of one connection that are logged until it is steady.
MAX_LOGGED = 5

#: In INFO. It changes with every start and every fail-over, which may each lose what was written last.
_LIFE = re.compile(rb"^master_replid:([0-9a-f]{40})\r?$", re.MULTILINE)

_log = logging.getLogger(__name__)


class Reader(Protocol):
    """As `hiredis.Reader`."""

    def feed(self, data: bytes, /) -> None: ...

    def gets(self) -> Any: ...


class RedisLink(asyncio.Protocol):
    """A connection that is made again whenever it breaks; subclasses say what happens in between.

    :param name: for logs and CLIENT LIST.
    :param on_change: called with True and False as the connection comes and goes.
    :param script: loaded with each connection, so that EVALSHA finds it.
    :param count_loss: called each time that it is lost; logged is only the first time until it was steady again.
    :param make_reader: makes what reads the replies of one connection.
    :ivar life: of that server's data, with a script only: another one when it was started again or has become the
        master; "" where it does not say.
    """

    life = ""

    def __init__(
        self,
        options: RedisOptions,
        name: str,
        on_change: Callable[[bool], None] | None = None,
        script: Script | None = None,
        count_loss: Callable[[], None] | None = None,
        make_reader: Callable[[], Reader] = hiredis.Reader,
    ) -> None:
        self._options = options
        self._finder = MasterFinder(options) if options.sentinels else None
        self._asked_at = 0.0
        self._name = name
        self._on_change = on_change
        self._script = script
        self._count_loss = count_loss
        self._transport: asyncio.Transport | None = None
        self._make_reader = make_reader
        self._reader = make_reader()
        self._out: list[bytes] = []
        self._flush_due = False
        self._greeting = 0
        self._lost = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._silent = 0
        #: When this loop turned here last, by its own clock: long ago when the process was stopped.
        self._turned_at = 0.0
        #: Why this end gave the connection up.
        self._given_up = ""
        #: What was logged of a trouble that is not over.
        self._logged: set[str] = set()
        self._ready: asyncio.Future[None] | None = None
        self._stopped = False
        self.connected = False

    async def start(self) -> None:
        """Connect, waiting at most a few seconds. What cannot be connected to now is tried again, as after any loss."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._connect()
        except StoreUnavailable as error:
            self._log_once(str(error))
            self.on_unreachable(str(error))
            self._lost.set()
        self._task = keep(self._stay_connected, f"redis-{self._name}")

    def begin(self) -> None:
        """`start` without waiting."""
        self._loop = asyncio.get_running_loop()
        self._lost.set()
        self._task = keep(self._stay_connected, f"redis-{self._name}")

    async def stop(self) -> None:
        await cancel(self._task)
        self._stopped = True
        if self._transport is not None:
            self._transport.abort()
        if self._finder is not None:
            await self._finder.stop()

    def send(self, *command: bytes | str | int) -> None:
        """Queue a command; all of a loop turn leave in one write. Only while connected."""
        self._out.append(hiredis.pack_command(command))  # type: ignore[arg-type] # its stub has a tuple of one
        if not self._flush_due:
            self._flush_due = True
            self._loop.call_soon(self._flush)

    # --- for subclasses

    def on_connected(self) -> None:
        """The connection stands; send what must be sent first, and announce it when all is as it was."""
        self.report_change(True)

    def report_change(self, connected: bool) -> None:
        if self._on_change is not None:
            self._on_change(connected)

    def on_lost(self) -> None:
        """The connection is gone; no reply that is still due will come."""

    def on_unreachable(self, reason: str) -> None:
        """It could not be connected to; that is tried again."""

    def on_reply(self, reply: Any) -> None:
        """One reply or pushed message, in order."""

    def on_tick(self) -> None:
        """Called with every look at whether anything has arrived."""

    def give_up(self, reason: str) -> None:
        """End the connection, which is then made anew."""
        self._given_up = self._given_up or reason
        if self._transport is not None:
            self._transport.abort()

    def ask_alive(self) -> None:
        """Send what any server answers."""
        self.send(b"UNSUBSCRIBE", ALIVE)

    # --- the connection's life

    async def _stay_connected(self) -> None:
        """Until the connection is lost, and until there is another one."""
        await self._watch()
        delay_s = RETRY_MIN_S
        while not self.connected:
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, RETRY_MAX_S)
            try:
                await self._connect()
            except StoreUnavailable as error:
                self._log_once(str(error))
                self.on_unreachable(str(error))

    async def _watch(self) -> None:
        """Return when the connection is lost; gives it up when it stays silent."""
        answered = self._silent = 0
        while not self._lost.is_set():
            try:
                await asyncio.wait_for(self._lost.wait(), LOOK_EVERY_S)
                continue
            except TimeoutError:
                self._turned_at = self._loop.time()
            answered = answered + 1 if not self._silent else 0
            if self._silent >= MAX_SILENT:
                self.give_up("Redis does not answer")
                continue
            if answered == STEADY_AFTER and self._logged:
                self._logged.clear()
                _log.info("%s: the connection to Redis stands again", self._name)
            self.on_tick()
            if self._silent:
                self.ask_alive()
            self._silent += 1
            if self._finder is not None:
                await self._follow_master(self._finder)

    def _log_once(self, text: str) -> None:
        """A connection that comes and goes, or does not come at all, has each of its troubles in the log once."""
        known = text in self._logged or len(self._logged) >= MAX_LOGGED
        _log.log(logging.DEBUG if known else logging.WARNING, "%s: %s; trying again until it stands", self._name, text)
        if not known:
            self._logged.add(text)

    async def _follow_master(self, finder: MasterFinder) -> None:
        """Give up the connection when its server is the master no more."""
        if self._loop.time() - self._asked_at < FOLLOW_EVERY_S:
            return
        self._asked_at = self._loop.time()
        if await finder.moved():
            self.give_up("there is another master")

    async def _connect(self) -> None:
        options = self._options
        self._reader = self._make_reader()
        self._out.clear()
        self._given_up = ""
        self._ready = self._loop.create_future()
        self._lost = asyncio.Event()
        try:
            async with within(CONNECT_TIMEOUT_S):
                if options.path:
                    await self._loop.create_unix_connection(lambda: self, options.path)
                else:
                    host, port = (options.host, options.port) if self._finder is None else await self._finder.find()
                    context = client_context(options)
                    await self._loop.create_connection(lambda: self, host, port, ssl=context)
                self._greet()
                await self._ready
                if self._lost.is_set():
                    raise StoreUnavailable("connection closed")
        except Exception as error:
            # Whatever it is: uvloop has RuntimeError for what asyncio calls OSError.
            if self._transport is not None:
                # Its end must not be taken for that of the next one.
                self._transport.abort()
                with contextlib.suppress(TimeoutError):
                    async with within(CONNECT_TIMEOUT_S):
                        await self._lost.wait()
            raise StoreUnavailable(
                f"cannot reach Redis at {options.address}: {str(error) or 'no answer in time'}"
            ) from error
        self.connected = True
        self._turned_at = self._loop.time()
        self.on_connected()

    def _greet(self) -> None:
        """Authenticate and select before anything else; the replies are counted off by `data_received`."""
        options = self._options
        commands: list[tuple[bytes | str | int, ...]] = []
        if options.password:
            commands.append(
                ("AUTH", options.username, options.password) if options.username else ("AUTH", options.password)
            )
        if options.db:
            commands.append(("SELECT", options.db))
        # Sentinel may not know yet, or not any more.
        commands.append(("UNSUBSCRIBE", ALIVE) if self._finder is None else ("ROLE",))
        if self._script is not None:
            commands += [("SCRIPT", "LOAD", self._script.source), ("INFO", "replication")]
        self._greeting = len(commands)
        for command in commands:
            self.send(*command)

    def _flush(self) -> None:
        self._flush_due = False
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    # --- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not of that class

    def data_received(self, data: bytes) -> None:
        self._silent = 0
        try:
            self._reader.feed(data)
            while not self._given_up and (reply := self._reader.gets()) is not False:
                if self._greeting:
                    self._on_greeting(reply)
                else:
                    self.on_reply(reply)
        except Exception as error:  # noqa: BLE001 (no RESP, or replies to nothing: what answers there is no Redis)
            self.give_up(f"Redis sent what cannot be read: {in_words(error)}")

    def _on_greeting(self, reply: Any) -> None:
        self._greeting -= 1
        assert self._ready is not None
        if self._ready.done():
            return
        # What a script needs comes last, and a server that refuses that serves all else.
        behind = 0 if self._script is None else 2
        if self._greeting < behind:
            if self._greeting == 0:
                found = _LIFE.search(reply) if isinstance(reply, bytes) else None
                self.life = found[1].decode() if found else ""
                self._ready.set_result(None)
        elif isinstance(reply, hiredis.ReplyError) and not str(reply).startswith("NOSUB"):
            self._ready.set_exception(StoreUnavailable(str(reply)))
        elif self._greeting == behind:
            if self._finder is not None and (not isinstance(reply, list) or reply[:1] != [b"master"]):
                self._ready.set_exception(StoreUnavailable("it is not the master"))
            elif not behind:
                self._ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        was_connected, self.connected = self.connected, False
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(StoreUnavailable("connection closed"))
        self._lost.set()
        if was_connected:
            self.on_lost()
            if self._stopped:
                return
            if self._count_loss is not None:
                self._count_loss()
            reason = self._given_up or (str(exc) if exc else "")
            self._log_once(f"connection to Redis lost{reason and f' ({reason})'}")
            self.report_change(False)
