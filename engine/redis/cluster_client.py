"""redis-py's client of a Redis Cluster with the habits of the other client: bounded, and nothing is tried twice.

It follows fail-overs and slots that move; what is asked meanwhile fails, and callers try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import RedisCluster
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

from engine.config.redis import Node
from engine.redis.noticing import Encrypted, Plain

#: Below the time-outs of the callers: a client that is only cancelled never learns that a node is dead. Above the
#: longest blocking command of the queue.
SOCKET_TIMEOUT_S = 1.5
CONNECT_TIMEOUT_S = 1.0


class ClusterClient(RedisCluster):
    """:param max_connections: commands at one time; more wait for their turn, as they would for a connection."""

    def __init__(self, nodes: Sequence[Node], *, tls: bool, max_connections: int, **settings: Any) -> None:
        self._free = asyncio.Semaphore(max_connections)
        super().__init__(
            startup_nodes=[ClusterNode(*node) for node in nodes],
            # What is left of a cluster goes on serving.
            require_full_coverage=False,
            ssl=tls,
            retry=Retry(NoBackoff(), 0),
            # To one node. Some wait for their end while the turn has gone to the next.
            max_connections=4 * max_connections,
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=CONNECT_TIMEOUT_S,
            **settings,
        )
        # To the nodes that are found, and to those that were named.
        kind = self.connection_kwargs["connection_class"] = Encrypted if tls else Plain
        for node in self.startup_nodes:
            node.connection_class = kind
        self.commands_parser = _FirstArgument()  # type: ignore[assignment] # all of it that is used

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """For one command, or for one pipeline of them."""
        async with self._free:
            try:
                # Without it a command that comes first goes to any node.
                await self.initialize()
                yield
            except RedisClusterException as error:
                # No node answers, or none has the slot. Not among the library's other errors.
                raise RedisConnectionError(str(error)) from error
            except asyncio.CancelledError:
                # Out of time: the node that did not answer may be dead, and another the master.
                self._initialize = True
                raise

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        async with self.turn():
            return await super().execute_command(*args, **kwargs)

    async def aclose(self) -> None:
        await super().aclose()
        # Which does nothing for a client that is to look at the cluster anew, but has its connections still.
        for nodes in ("nodes_cache", "startup_nodes"):
            await self.nodes_manager.aclose(nodes)

    def pipeline(self, transaction: Any | None = None, shard_hint: Any | None = None) -> ClusterPipeline:
        """Never a transaction: the library runs each command of one in a thread with its own loop, and waits for it.
        The commands reach the node in one write still; that others may come between them must do no harm."""
        return _Pipeline(self)  # type: ignore[abstract] # as the library's own


class _Pipeline(ClusterPipeline):
    """Takes one turn for all of its commands."""

    async def execute(self, raise_on_error: bool = True, allow_redirections: bool = True) -> list[Any]:
        assert isinstance(self.cluster_client, ClusterClient)
        async with self.cluster_client.turn():
            return await super().execute(raise_on_error, allow_redirections)


class _FirstArgument:
    """Where a command's key is: all that this engine sends name their slot by their first argument. The library would
    ask the server for its table of commands, each time that it looks at the cluster anew."""

    async def initialize(self, node: ClusterNode) -> None:
        """Knows already."""

    async def get_keys(self, *command: Any) -> tuple[Any, ...]:
        return command[1:2]
