"""`python -m engine listen`: prints what happens on channels, as a client sees it.

It signs its own private and presence subscriptions with the application's secret, and comes back after a lost
connection by the rules that every Pusher client follows. It never runs inside a worker.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import aiohttp
import orjson

from engine.app import App
from engine.cli.text import complain, say
from engine.log.escapes import one_line
from engine.machine.interrupts import heard
from engine.protocol.json_values import dumps, loads

CONNECT_TIMEOUT_S = 10.0
#: How long an answer to our ping may take (C-22).
PONG_TIMEOUT_S = 30.0
RECONNECT_S = 1.0
BACK_OFF_MAX_S = 10.0
QUERY = "protocol=7&client=engine-cli&version=1"


class Stop(Exception):
    """There is no point in coming back; the text says why."""


def listen(app: App, url: str, channels: Sequence[str], user_id: str) -> int:
    """Print one line for each event until interrupted; returns the exit status.

    :param url: ``ws://host:port``, with the path prefix when the server has one.
    :param user_id: who we are in presence channels.
    """
    try:
        with heard():
            asyncio.run(_listen(app, url, channels, user_id))
    except KeyboardInterrupt:
        return 0
    except Stop as reason:
        complain(str(reason))
    return 1


def reconnect_delay(code: int | None, failures: int) -> float:
    """Seconds to wait after a close with `code` (None: never connected), `failures` attempts in a row having failed.

    Raises Stop where the code says that the same attempt cannot succeed (C-27, C-28).
    """
    if code is not None and (4000 <= code < 4100 or 4300 <= code < 4400):
        raise Stop(f"the server closed the connection for good with code {code}")
    if code is not None and 4200 <= code < 4300:
        return 0.0
    return min(RECONNECT_S * 2.0 ** max(0, failures - 1), BACK_OFF_MAX_S)


async def _listen(app: App, url: str, channels: Sequence[str], user_id: str) -> None:
    failures, last = 0, ""
    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        while True:
            code = None
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    socket = await session.ws_connect(f"{url}/app/{app.key}?{QUERY}", max_msg_size=0)
            except (aiohttp.ClientError, OSError, TimeoutError) as error:
                failures += 1
                if (reason := _why(error)) != last:
                    complain(f"cannot reach {url}: {reason}; is the server running? Trying again.")
                last = reason
            else:
                try:
                    established = await _converse(socket, app, channels, user_id)
                finally:
                    await socket.close()
                last = ""
                failures = 0 if established else failures + 1
                code = socket.close_code
                complain(f"connection lost ({code})")
            await asyncio.sleep(reconnect_delay(code, failures))


def _why(error: Exception) -> str:
    """As the system says it: the library names TLS where there is none, and all addresses twice."""
    if isinstance(error, aiohttp.ClientConnectorError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    return one_line(str(error)) or "no answer"


async def _converse(socket: aiohttp.ClientWebSocketResponse, app: App, channels: Sequence[str], user_id: str) -> bool:
    """Talk until the connection is lost; returns whether it had been established."""
    established = False
    activity_timeout_s = CONNECT_TIMEOUT_S
    while True:
        text = await _receive(socket, activity_timeout_s, ping=established)
        if text is None:
            return established
        message = loads(text)
        event, data = message["event"], message.get("data")
        if event == "pusher:connection_established":
            established = True
            opening = orjson.loads(data)
            activity_timeout_s = float(opening.get("activity_timeout", 120))
            for channel in channels:
                await _send(socket, "pusher:subscribe", _subscription(app, opening["socket_id"], channel, user_id))
        elif event == "pusher:ping":
            await _send(socket, "pusher:pong", {})
        elif event == "pusher_internal:subscription_succeeded":
            complain(f"subscribed to {one_line(message['channel'])}")
        elif event == "pusher:subscription_error":
            raise Stop(f"not allowed to subscribe to {one_line(message['channel'])}: {_text(data)}")
        elif event == "pusher:error":
            complain(f"error: {_text(data)}")
        elif event != "pusher:pong":
            _print(message.get("channel", ""), event, data)


async def _receive(socket: aiohttp.ClientWebSocketResponse, silence_s: float, *, ping: bool) -> str | None:
    """The next text message; None when the connection is lost, which silence after a ping means too (C-22)."""
    try:
        message = await socket.receive(silence_s)
    except TimeoutError:
        if not ping:
            return None
        await _send(socket, "pusher:ping", {})
        try:
            message = await socket.receive(PONG_TIMEOUT_S)
        except TimeoutError:
            return None
    return message.data if message.type is aiohttp.WSMsgType.TEXT else None


async def _send(socket: aiohttp.ClientWebSocketResponse, event: str, data: dict[str, str]) -> None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await socket.send_str(orjson.dumps({"event": event, "data": data}).decode())
    except (aiohttp.ClientError, OSError, TimeoutError):
        await socket.close()


def _subscription(app: App, socket_id: str, channel: str, user_id: str) -> dict[str, str]:
    """`data` of a subscribe message, signed as the channel's kind demands (N-7, N-8)."""
    text, data = f"{socket_id}:{channel}", {"channel": channel}
    if channel.startswith("presence-"):
        data["channel_data"] = orjson.dumps({"user_id": user_id}).decode()
        text += f":{data['channel_data']}"
    if channel.startswith(("private-", "presence-")):
        data["auth"] = f"{app.key}:{app.signer.hex(text.encode())}"
    return data


def _print(channel: str, event: str, data: Any) -> None:
    now = datetime.now().isoformat(timespec="milliseconds")[11:]
    say(f"{now}  {one_line(channel)}  {one_line(event)}  {_text(data)}")


def _text(data: Any) -> str:
    return one_line(data if isinstance(data, str) else dumps(data).decode())
