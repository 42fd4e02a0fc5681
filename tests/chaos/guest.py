"""One client of the chaos run, light enough for hundreds in a process. What it holds is the truth of the matter.

A connection that has ended holds nothing, whoever ended it. The WebSocket is picows'.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.support.engine import APP
from tests.support.signing import channel_auth, compact

CONNECT_TIMEOUT_S = 5.0
#: The close code of a server that goes away.
RECONNECT = 4200


class Guest(WSListener):
    """One connection, used once. :param user: its user id in presence channels."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.channels: set[str] = set()
        #: Subscriptions that were not acknowledged yet.
        self.waiting: set[str] = set()
        #: Presence channel -> members as it has heard of them.
        self.rosters: dict[str, set[str]] = {}
        self.socket_id = ""
        #: What it was told that nobody asked for.
        self.refusals: list[str] = []
        self._established = asyncio.Event()
        self._transport: WSTransport | None = None

    @property
    def alive(self) -> bool:
        return self._transport is not None and bool(self.socket_id)

    async def connect(self, url: str) -> bool:
        """Whether it got through; if not, it is no use any more."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await ws_connect(
                    lambda: self, f"{url}/app/{APP['key']}?protocol=7&client=js&version=8.6.0", use_aiofastnet=False
                )
                await self._established.wait()
        except (OSError, TimeoutError, WSError):
            self.abort()
        return self.alive

    def subscribe(self, channel: str) -> None:
        data = {"channel": channel}
        if channel.startswith("presence-"):
            member = data["channel_data"] = compact({"user_id": self.user})
            data["auth"] = channel_auth(APP["key"], APP["secret"], self.socket_id, channel, member)
        self.channels.add(channel)
        self.waiting.add(channel)
        self._send("pusher:subscribe", data)

    def unsubscribe(self, channel: str) -> None:
        self._forget(channel)
        self._send("pusher:unsubscribe", {"channel": channel})

    def close(self) -> None:
        """As a browser does when its page goes away."""
        if self._transport is not None:
            self._transport.send_close()
            self._transport.disconnect()
        self._end()

    def abort(self) -> None:
        """Vanish without a word."""
        if self._transport is not None:
            self._transport.underlying_transport.abort()
        self._end()

    # --- what the engine says

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._end()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type == WSMsgType.TEXT:
            self._on_message(json.loads(frame.get_payload_as_bytes()))

    def _on_message(self, message: dict[str, Any]) -> None:
        channel = message.get("channel", "")
        match message["event"]:
            case "pusher:connection_established":
                self.socket_id = json.loads(message["data"])["socket_id"]
                self._established.set()
            case "pusher_internal:subscription_succeeded" if channel in self.channels:
                self.waiting.discard(channel)
                if channel.startswith("presence-"):
                    self.rosters[channel] = set(json.loads(message["data"])["presence"]["ids"])
            case "pusher_internal:member_added" if channel in self.rosters:
                self.rosters[channel].add(json.loads(message["data"])["user_id"])
            case "pusher_internal:member_removed" if channel in self.rosters:
                self.rosters[channel].discard(json.loads(message["data"])["user_id"])
            case kind if kind.startswith("pusher_internal:"):
                pass  # of a subscription that was given up meanwhile
            case "pusher:ping":
                self._send("pusher:pong", {})
            case "pusher:error" if message["data"].get("code") == RECONNECT:
                pass  # the engine closes the connection, and that counts
            case _:
                self.refusals.append(str(message))

    def _send(self, event: str, data: dict[str, str]) -> None:
        if self._transport is not None:
            self._transport.send(WSMsgType.TEXT, compact({"event": event, "data": data}).encode())

    def _forget(self, channel: str) -> None:
        self.channels.discard(channel)
        self.waiting.discard(channel)
        self.rosters.pop(channel, None)

    def _end(self) -> None:
        self._transport = None
        self.channels.clear()
        self.waiting.clear()
        self.rosters.clear()
