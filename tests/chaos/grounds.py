"""What a cluster of engines stands on: one Valkey, a master that a Sentinel watches, or the shards of a Redis Cluster.

All are broken and repaired by the same words. Blocking; never judges what came of it.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any, Protocol

import redis

from engine.occupancy.redis_keys import Keys
from tests.support.valkey import ValkeyServer
from tests.support.valkey_cluster import Member, ValkeyCluster, WatchedValkey
from tests.support.waiting import wait_until

#: As the embedded one, but for the fsync: what was answered survives. Without it a master that is back before a replica
#: has taken over is empty, and so are its replicas then.
KEEPS_DATA = ("--appendonly", "yes", "--appendfsync", "always")
PREFIX, QUEUE_PREFIX = "sockudo:", "sockudo_queue:"
BASE = Keys(PREFIX).base
#: What Sentinel may take to do what it was asked for.
FAIL_OVER_S = 60.0


class Ground(Protocol):
    """:cvar loses: whether what was answered may be lost, so that webhooks may repeat themselves.
    :cvar queue: what the names of the webhook queue's keys begin with.
    """

    loses: bool
    queue: str

    @property
    def config(self) -> dict[str, Any]:
        """What `database.redis` has to say."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def client(self) -> contextlib.AbstractContextManager[redis.Redis]:
        """For whoever looks at the state. Raises redis.RedisError, here or later, while there is none."""

    def kill(self) -> None: ...

    def shut_down(self) -> None: ...

    def bring_back(self) -> None:
        """What was killed or shut down."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def fail_over(self) -> None:
        """Have another server take over, by hand; nothing is broken."""


class OneServer:
    """One server that keeps what it has answered."""

    loses = False
    queue = QUEUE_PREFIX

    def __init__(self, options: tuple[str, ...] = KEEPS_DATA) -> None:
        self.valkey = ValkeyServer(options)
        self.config: dict[str, Any] = {"url": self.valkey.url}
        self.start, self.stop = self.valkey.start, self.valkey.stop
        self.kill, self.shut_down, self.bring_back = self.valkey.kill, self.valkey.shut_down, self.valkey.start
        self.pause, self.resume = self.valkey.pause, self.valkey.resume

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        client = self.valkey.client()
        try:
            yield client
        finally:
            client.close()

    def fail_over(self) -> None:
        raise AssertionError("there is no other server")


class _Members:
    """One of several servers is the victim, until it is repaired."""

    loses = True
    _victim: Member

    def master(self) -> Member:
        """The one that has the shared state."""
        raise NotImplementedError

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        client = redis.Redis(port=self.master().port, socket_timeout=5, protocol=2)
        try:
            yield client
        finally:
            client.close()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def shut_down(self) -> None:
        self._end(signal.SIGTERM)

    def bring_back(self) -> None:
        self._victim.start()

    def pause(self) -> None:
        self._victim = self.master()
        self._victim.pause()

    def resume(self) -> None:
        self._victim.resume()

    def _end(self, how: signal.Signals) -> None:
        self._victim = self.master()
        self._victim.end(how)


class Watched(_Members):
    """A master with two replicas, and the Sentinel that promotes one of them."""

    queue = QUEUE_PREFIX

    def __init__(self) -> None:
        self.servers = WatchedValkey(options=KEEPS_DATA)
        self.start, self.stop = self.servers.start, self.servers.stop

    @property
    def config(self) -> dict[str, Any]:
        return {"sentinels": [self.servers.sentinel.node], "name": self.servers.name}

    def master(self) -> Member:
        return self.servers.current()

    def fail_over(self) -> None:
        before = self.master()
        wait_until(lambda: self._asked(before), FAIL_OVER_S, "another master")

    def settled(self) -> bool:
        """Whether all the others follow the master, so that the next fail-over may come."""
        master = self.master()
        others = [member for member in self.servers.servers if member is not master and member.well]
        return all(
            (found := member.call("INFO", "replication") or {}).get("master_port") == master.port
            and found.get("master_link_status") == "up"
            for member in others
        )

    def _asked(self, before: Member) -> bool:
        if self.master() is before:
            # Refused while the last one is under way, or no replica is good enough yet.
            with contextlib.suppress(redis.exceptions.ResponseError):
                self.servers.sentinel.call("SENTINEL", "FAILOVER", self.servers.name)
        return self.master() is not before


class Shards(_Members):
    """Three shards with a replica each; the victim is the one that has the shared state."""

    queue = f"{QUEUE_PREFIX}{{0}}:"

    def __init__(self) -> None:
        self.cluster = ValkeyCluster(replicas_of=(0, 1, 2), options=KEEPS_DATA)
        self.start, self.stop = self.cluster.start, self.cluster.stop

    @property
    def config(self) -> dict[str, Any]:
        return {"cluster_nodes": self.cluster.nodes}

    def master(self) -> Member:
        return self.cluster.master_of(BASE)

    def fail_over(self) -> None:
        before = self.master()
        wait_until(lambda: self._asked(before), FAIL_OVER_S, "another master of the shard")

    def settled(self) -> bool:
        """Whether each member is a master, or follows one."""
        return all(
            (found := member.call("INFO", "replication") or {}).get("role") == "master"
            or found.get("master_link_status") == "up"
            for member in self.cluster.members
            if member.well
        )

    def _asked(self, before: Member) -> bool:
        for member in self.cluster.members:
            found = member.call("INFO", "replication") or {}
            if found.get("role") == "slave" and found.get("master_port") == before.port:
                with contextlib.suppress(redis.exceptions.ResponseError):
                    member.call("CLUSTER", "FAILOVER")
        return self.master() is not before


GROUNDS: dict[str, type[OneServer | Watched | Shards]] = {"one": OneServer, "sentinel": Watched, "cluster": Shards}
