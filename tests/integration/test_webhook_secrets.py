"""Nothing secret ever goes to Redis: not with a request that waits, is under way, is retried, or was given up."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import redis

from tests.support.aws import CREDENTIALS
from tests.support.client import connected
from tests.support.engine import APP, Engine, running
from tests.support.monitor import monitored
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
    "other secret": "other-s3cret-Jm6",
    "aws key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    "aws key id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
}
#: As an Authorization header would have them.
SECRETS["basic"] = base64.b64encode(f"{SECRETS['user']}:{SECRETS['password']}".encode()).decode()
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
        {"lambda": {"function_name": "handler", "endpoint_url": receiver.url}, **wants},
    ]
    app = APP | {"secret": SECRETS["secret"], "previous_secret": SECRETS["previous_secret"], "webhooks": webhooks}
    other = APP | {"id": "2", "key": "other", "secret": SECRETS["other secret"], "webhooks": webhooks}
    return {
        "app_manager": {"array": {"apps": [app, other]}},
        "database": {"redis": {"url": valkey.url}},
        "shutdown_grace_period": 1,
    }


async def visit(engine: Engine, key: str, secret: str) -> None:
    async with connected(engine.ws_url, key, secret) as client:
        await client.signin("ada")
        for channel in ("room", "private-room", "cache-room", "presence-room"):
            await client.subscribe(channel, user_id="ada" if channel.startswith("presence-") else None)
        await client.send("client-hello", {"n": 1}, "private-room")
        await client.settle()


def dump(client: redis.Redis) -> dict[bytes, str]:
    """Every key with all that is in it."""
    read = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"stream": client.xrange,
        b"none": lambda key: "ended meanwhile",
    }
    return {key: f"{key!r} {read[client.type(key)](key)!r}" for key in client.scan_iter()}


def test_redis_holds_nothing_secret(receiver: WebhookReceiver) -> None:
    receiver.answer(path="/dead", always=500)
    receiver.answer(path="/retried", always=500)
    receiver.answer(path="/hanging", always="hang")
    with ValkeyServer() as valkey, valkey.client() as client, monitored(valkey) as monitor:
        with running(config(receiver, valkey), 2, env=CREDENTIALS, noise=None) as engine:
            for _ in range(3):
                asyncio.run(visit(engine, APP["key"], SECRETS["secret"]))
                asyncio.run(visit(engine, APP["key"], SECRETS["previous_secret"]))
            asyncio.run(visit(engine, "other", SECRETS["other secret"]))
            event = {"name": "news", "channel": "cache-room", "data": "{}"}
            assert engine.request("POST", "/events", event, secret=SECRETS["secret"]).status == 200
            wait_until(lambda: len(receiver.names("/good")) >= 20 and client.llen("sockudo_queue:failed") >= 5)
            wait_until(lambda: client.zcard("sockudo_queue:delayed") >= 5)
            kept = dump(client)
            assert any(b"in_flight" in key for key in kept)
            shown = engine.metrics() + engine.log()
        kept |= dump(client)
    assert len(kept) > 5
    commands = [command.text for command in monitor.commands]
    assert len(commands) > 100
    text = "\n".join([*kept.values(), *commands])
    # What is looked for would be found: the text has what requests and messages between workers are made of.
    assert "presence-room" in text and "member_added" in text
    assert any(command.startswith("PUBLISH") for command in commands)
    assert any("/functions/handler/" in request.path for request in receiver.requests)
    found = [name for name, secret in SECRETS.items() if secret in text]
    assert not found, "in Redis"
    found = [name for name, secret in SECRETS.items() if secret in shown]
    assert not found, "in log or metrics"
