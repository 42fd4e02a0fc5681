"""A real Valkey as the simulation uses it: one blocking connection, the shipped scripts, and time that the world sets.

Scripts are the files that ship, but for one thing: where they read the server's clock they read the world's. Nothing in
the engine knows of that.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hiredis

from engine.redis import scripts
from tests.simulation.mutation import Mutation

FOLDER = Path(scripts.__file__).parent / "lua"
COMMON = "occupancy_common"
#: What else is in front of a script.
ALSO = {"occupancy_commit": ("history_common",)}
NAMES = sorted(path.stem for path in FOLDER.glob("occupancy_*.lua") if path.stem != COMMON)
CLOCK = "redis.call('TIME')"
#: What stands in its place: the world gives the microsecond as a second key.
WORLD_CLOCK = "{ math.floor(KEYS[2] / 1000000), KEYS[2] % 1000000 }"


@dataclass(frozen=True, slots=True)
class Done:
    """A script that has run: what it changed, beside its reply.

    :param log: entries of the transitions' log and their scores, in order.
    :param jobs: what it pushed to the webhook queue; taken out again.
    :param pushed: (topic, message) of everything that it published.
    :param clock_us: the server's clock, and the steps back that the sequence of transitions bridges.
    :param now_s: the world's time. :param lease: whose lease it was before. :param epoch: of the data, after it.
    """

    name: str
    args: tuple[bytes, ...]
    reply: Any
    log: Mapping[bytes, float]
    jobs: list[bytes]
    pushed: list[tuple[bytes, bytes]]
    clock_us: int
    now_s: float
    lease: bytes | None
    epoch: bytes | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys and their values, and when the lease among them ends. An empty one is a server without data."""

    values: Sequence[tuple[bytes, bytes]] = ()
    lease_until: float | None = None


class Server:
    """:param path: of the unix socket. The server is the simulation's own: it is flushed at will.

    :param base: what all keys begin with. :param topics: what all topics begin with. :param jobs: list of jobs.
    """

    def __init__(self, path: str, base: str, topics: str, jobs: str, mutation: Mutation | None = None) -> None:
        self._base = base
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(path)
        self._reader = hiredis.Reader()
        self._lease_until: float | None = None
        self._sources = {name: source_of(name, mutation) for name in NAMES}
        #: Digest under which the engine knows a script -> its name.
        self.names = {script_of(name).sha: name for name in NAMES}
        #: What is asked before and after each script, as it goes to the server.
        self._before = hiredis.pack_command(("GET", base + "lease"))
        self._after = _packed(
            ("PTTL", base + "lease"),
            ("PERSIST", base + "lease"),
            ("ZRANGE", base + "transitions", 0, -1, "WITHSCORES"),
            ("LPOP", jobs, 1_000_000),
            ("GET", base + "clock"),
            ("GET", base + "epoch"),
        )
        self._call(("HELLO", "3"), ("PSUBSCRIBE", topics + "*"), ("FLUSHALL",))
        self._load()

    def close(self) -> None:
        self._socket.close()

    def snapshot(self) -> Snapshot:
        """What a replica has now."""
        keys = self._call(("KEYS", "*"))[0][0]
        values = self._call(*(("DUMP", key) for key in keys))[0]
        return Snapshot(list(zip(keys, values, strict=True)), self._lease_until)

    def restore(self, snapshot: Snapshot) -> None:
        """Become that replica."""
        self._call(("FLUSHALL",), *(("RESTORE", key, 0, value) for key, value in snapshot.values))
        self._lease_until = snapshot.lease_until

    def expire_lease(self) -> None:
        self._call(("DEL", self._base + "lease"))

    def run(self, name: str, now_s: float, clock_us: int, args: tuple[Any, ...]) -> Done:
        """:param now_s: the world's time, by which the lease ends. :param clock_us: what the server's clock shows."""
        self._note_time(now_s)
        texts = tuple(_bytes(arg) for arg in args)
        script = hiredis.pack_command(("EVALSHA", self._shas[name], 2, self._base, clock_us, *texts))
        replies, pushed = self._exchange(self._before + script + self._after)
        lease, reply, ends_ms, _, log, jobs, clock, epoch = replies
        skew_us = int(clock.split()[1]) if clock else 0
        if ends_ms > 0:
            # It was set just now. Real time has passed since, so what was asked for counts.
            self._lease_until = now_s + int(texts[2]) / 1000
        return Done(name, texts, reply, dict(log), jobs or [], pushed, clock_us + skew_us, now_s, lease, epoch)

    def plain(self, now_s: float, *command: Any) -> Any:
        """A command that is no script."""
        self._note_time(now_s)
        return self._call(command)[0][0]

    def dump(self) -> dict[str, Any]:
        """Every key without the base, with its value; keys of another kind are shown whole."""
        found: dict[str, Any] = {}
        read = {b"hash": ("HGETALL",), b"set": ("SMEMBERS",), b"string": ("GET",)}
        for key in self._call(("KEYS", "*"))[0][0]:
            kind = self._call(("TYPE", key))[0][0]
            first, *rest = read.get(kind, ("ZRANGE", 0, -1))
            found[key.decode().removeprefix(self._base)] = self._call((first, key, *rest))[0][0]
        return found

    def _note_time(self, now_s: float) -> None:
        # The key's own expiry would go by real time; it was taken off, and ends here.
        if self._lease_until is not None and now_s >= self._lease_until:
            self._lease_until = None
            self.expire_lease()

    def _load(self) -> None:
        replies, _ = self._call(*(("SCRIPT", "LOAD", source) for source in self._sources.values()))
        self._shas = dict(zip(self._sources, replies, strict=True))

    def _call(self, *commands: tuple[Any, ...]) -> tuple[list[Any], list[tuple[bytes, bytes]]]:
        """Replies in order, and what was published meanwhile: with RESP3 that comes before the next reply."""
        return self._exchange(_packed(*commands))

    def _exchange(self, packed: bytes) -> tuple[list[Any], list[tuple[bytes, bytes]]]:
        """The same for commands in the server's form."""
        self._socket.sendall(packed + _END)
        replies: list[Any] = []
        pushed: list[tuple[bytes, bytes]] = []
        while True:
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(65536))
            elif isinstance(reply, hiredis.PushNotification):
                if reply[0] == b"pmessage":
                    pushed.append((reply[2], reply[3]))
                else:
                    replies.append(reply)
            elif reply == b"end":
                return replies, pushed
            else:
                # A set has no order of its own; sorted, it is the same in every run.
                replies.append(sorted(reply) if isinstance(reply, set) else reply)


def _packed(*commands: tuple[Any, ...]) -> bytes:
    return b"".join(map(hiredis.pack_command, commands))


#: Its reply stands behind all others.
_END = _packed(("PING", "end"))


def script_of(name: str) -> scripts.Script:
    return scripts.load(name, common=(COMMON, *ALSO.get(name, ())))


def source_of(name: str, mutation: Mutation | None) -> str:
    """The script as it is run here."""
    source = script_of(name).source
    assert source.count("'TIME'") == source.count(CLOCK) == 1 + (name in ALSO), "the clock is read in one way"
    if mutation is not None and mutation.place in (name, COMMON):
        source = mutation.of(source)
    return source.replace(CLOCK, WORLD_CLOCK)


def _bytes(arg: Any) -> bytes:
    return arg if isinstance(arg, bytes) else str(arg).encode()
