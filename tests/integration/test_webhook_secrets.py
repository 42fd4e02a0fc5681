"""Nothing secret ever goes to Redis: not with a request that waits, is under way, is retried, or was given up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

#: Each in a place of its own; none may be found.
SECRETS = {
    "secret": "app-s3cret-Zq8",
    "previous_secret": "older-s3cret-Wy3",
    "user": "url-user-Kd5",
    "password": "url-pass-Hn2",
    "token": "url-t0ken-Px7",
    "header": "Bearer-h3ader-Vb4",
}
QUERY = f"?token={SECRETS['token']}"


def config(receiver: WebhookReceiver, valkey: ValkeyServer) -> dict[str, Any]:
    base = receiver.url.replace("://", f"://{SECRETS['user']}:{SECRETS['password']}@")
    wants: dict[str, Any] = {
        "event_types": ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event"],
        "headers": {"X-Api-Key": SECRETS["header"]},
    }
    webhooks = [
        {"url": f"{base}/good{QUERY}", **wants},
        {"url": f"{base}/dead{QUERY}", "retry": {"max_attempts": 1, "initial_backoff_ms": 10}, **wants},
        {"url": f"{base}/retried{QUERY}", "retry": {"initial_backoff_ms": 60_000}, **wants},
        {"url": f"{base}/hanging{QUERY}", "request_timeout_ms": 60_000, **wants},
        {"url": f"http://{SECRETS['user']}:{SECRETS['password']}@no-such-host.invalid/{QUERY}", **wants},
    ]
    app = APP | {"secret": SECRETS["secret"], "previous_secret": SECRETS["previous_secret"], "webhooks": webhooks}
    return {
        "app_manager": {"array": {"apps": [app]}},
        "database": {"redis": {"url": valkey.url}},
        "shutdown_grace_period": 1,
    }


async def visit(engine: Engine) -> None:
    async with connected(engine.ws_url, secret=SECRETS["secret"]) as client:
        await client.signin("ada")
        for channel in ("room", "private-room", "cache-room", "presence-room"):
            await client.subscribe(channel, user_id="ada" if channel.startswith("presence-") else None)
        await client.send("client-hello", {"n": 1}, "private-room")
        await client.settle()


@contextmanager
def monitored(valkey: ValkeyServer) -> Iterator[list[str]]:
    """Every command that Redis gets meanwhile."""
    commands: list[str] = []
    with valkey.client() as client, client.monitor() as monitor:

        def listen() -> None:
            for command in monitor.listen():
                commands.append(command["command"])
                if command["command"] == "ECHO that-is-all":
                    return

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield commands
        finally:
            with valkey.client() as other:
                other.echo("that-is-all")
            thread.join(10)


def dump(client: redis.Redis) -> dict[bytes, str]:
    """Every key with all that is in it."""
    read = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
    }
    return {key: f"{key!r} {read[client.type(key)](key)!r}" for key in client.scan_iter()}


def test_redis_holds_nothing_secret(receiver: WebhookReceiver) -> None:
    receiver.answer(path="/dead", always=500)
    receiver.answer(path="/retried", always=500)
    receiver.answer(path="/hanging", always="hang")
    with ValkeyServer() as valkey, valkey.client() as client, monitored(valkey) as commands:
        with running(config(receiver, valkey), 2, noise=None) as engine:
            for _ in range(3):
                asyncio.run(visit(engine))
            event = {"name": "news", "channel": "cache-room", "data": "{}"}
            assert engine.request("POST", "/events", event, secret=SECRETS["secret"]).status == 200
            wait_until(lambda: len(receiver.names("/good")) >= 20 and client.llen("sockudo_queue:failed") >= 5, 20)
            wait_until(lambda: client.zcard("sockudo_queue:delayed") >= 5, 20)
            kept = dump(client)
            assert any(b"inflight" in key for key in kept)
            shown = engine.metrics() + engine.log()
        kept |= dump(client)
    assert len(kept) > 5
    assert len(commands) > 100
    text = "\n".join([*kept.values(), *commands])
    # What is looked for would be found: the text has what requests are made of.
    assert "presence-room" in text and "member_added" in text
    found = [name for name, secret in SECRETS.items() if secret in text]
    assert not found, "in Redis"
    found = [name for name, secret in SECRETS.items() if secret in shown]
    assert not found, "in log or metrics"
