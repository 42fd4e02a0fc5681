"""Traces that operators at other nodes ask for: begun here, told over Redis, ended when nobody hears them any more.

Who can publish below this cluster's prefix may ask. While nobody does, it is one subscription more.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable

from engine.errors import ConfigError
from engine.trace.follow import TRACE, Follow, decode
from engine.trace.lines import MAX_LINE_BYTES
from engine.worker.remote_answers import RemoteAnswers

#: Of a request.
MAX_REQUEST_BYTES = 16 * 1024

_log = logging.getLogger(__name__)


class RemoteTraces:
    """:param publish: to a topic; answers how many heard it.
    :param prefix: of topics.
    :param node: host and port, as the lines name this node.
    :param follow: begins a trace, whose lines go to a socket, under this node's name.
    """

    def __init__(
        self,
        publish: Callable[[bytes, bytes], Awaitable[int]],
        prefix: str,
        node: str,
        follow: Callable[[Follow, socket.socket, str], None],
    ) -> None:
        self._answers = RemoteAnswers(publish, "remote-trace")
        self._topic = prefix.encode() + TRACE + b":"
        self._node = node
        self._follow = follow

    def begin(self, request: bytes) -> None:
        """What is no request is passed over: it comes from nobody whom it could be told."""
        try:
            if len(request) > MAX_REQUEST_BYTES:
                raise ConfigError("trace: too long")
            follow = decode(request.decode())
        except (ConfigError, ValueError) as error:
            _log.debug("another node asks for a trace that is none: %s", error)
            return
        if not follow.id:
            return
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            _log.debug("a trace for another node cannot begin: %s", error)
            return
        ours.setblocking(False)
        self._follow(follow, theirs, self._node)
        self._answers.serve(self._send_lines(ours, self._topic + follow.id.encode()), ours.close)

    async def stop(self) -> None:
        await self._answers.stop()

    async def _send_lines(self, lines: socket.socket, topic: bytes) -> None:
        loop = asyncio.get_running_loop()
        with lines:
            while line := await loop.sock_recv(lines, MAX_LINE_BYTES):
                if not await self._answers.say(topic, line):
                    return
