"""What is played with a server, two workers and a client on each: a column of the table each.

A scene ends without a word when all was right, and with an AssertionError otherwise.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from tests.support.client import PusherClient
from tests.support.engine import APP, Engine
from tests.support.placing import connected_to
from tests.support.receiver import WebhookReceiver
from tests.support.restricted import UNREAD_BYTES, Restricted, refuses_ping, user_made
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until, wait_until

HOOK = ["channel_occupied", "channel_vacated"]
#: More than a balancer and its worker have between them; each may go to either worker.
EVENTS = 12


@dataclass
class Stage:
    """:ivar clients: one on each worker."""

    server: ValkeyServer
    engine: Engine
    receiver: WebhookReceiver
    clients: tuple[PusherClient, PusherClient]

    @property
    def restricted(self) -> Restricted:
        return Restricted(self.server, self.engine)

    async def says(self, status: int, text: str) -> None:
        await until(lambda: asyncio.to_thread(self.restricted.all_say, status, text), what=f"{status} {text}")

    async def publish(self, channel: str, event: str) -> None:
        await asyncio.to_thread(self.engine.trigger, channel, event)


async def presence(on: Stage) -> None:
    ada, bob = on.clients
    await ada.subscribe("presence-room", "ada")
    await bob.subscribe("presence-room", "bob")
    await ada.next("pusher_internal:member_added", "presence-room")
    assert _members(on.engine, "presence-room") == {"ada", "bob"}
    await bob.unsubscribe("presence-room")
    await ada.next("pusher_internal:member_removed", "presence-room")
    await ada.unsubscribe("presence-room")


async def events(on: Stage) -> None:
    for client in on.clients:
        await client.subscribe("room")
    names = [f"event-{number}" for number in range(EVENTS)]
    for name in names:
        await on.publish("room", name)
    for client in on.clients:
        heard = [(await client.take(lambda frame: frame["event"].startswith("event-")))["event"] for _ in names]
        assert heard == names, "in another order"


async def counts(on: Stage) -> None:
    for client in on.clients:
        await client.subscribe("counted")
    for client in on.clients:
        await client.take(_says_two, what="a count of 2")


async def webhooks(on: Stage) -> None:
    on.receiver.answer(500, path="/hook")
    (client, _) = on.clients
    await client.subscribe("hooked")
    await until(lambda: HOOK[0] in on.receiver.handled("/hook", "hooked"), what="the webhook, at the second attempt")
    await client.unsubscribe("hooked")
    await until(lambda: HOOK[1] in on.receiver.handled("/hook", "hooked"), what="channel_vacated")


async def recovery(on: Stage) -> None:
    """It is killed, and comes back empty."""
    ada, bob = on.clients
    await ada.subscribe("presence-kept", "ada")
    await bob.subscribe("presence-kept", "bob")
    on.server.kill()
    await on.says(503, "")
    on.server.start()
    user_made(on.server)
    await on.says(200, "OK")
    await until(lambda: _members(on.engine, "presence-kept") == {"ada", "bob"}, what="the members")
    await _reaches_both(on, "presence-kept")


async def emptied(on: Stage) -> None:
    """FLUSHALL: nobody hears that anybody came or went."""
    for client, name in zip(on.clients, ("ada", "bob"), strict=True):
        await client.subscribe("presence-emptied", name)
    await on.clients[0].next("pusher_internal:member_added", "presence-emptied")
    with on.server.client() as admin:
        admin.flushall()
    await until(lambda: _members(on.engine, "presence-emptied") == {"ada", "bob"}, what="the members")
    await on.says(200, "OK")
    for client in on.clients:
        heard = [f["event"] for f in await client.settle() if f.get("channel") == "presence-emptied"]
        assert not [each for each in heard if "member" in each], heard


async def right_taken(on: Stage) -> None:
    """It is named, and no webhook is lost."""
    (client, _) = on.clients
    on.restricted.grant("-lmove", "-zadd")
    await on.says(503, "may not run ZADD, LMOVE")
    await client.subscribe("late")
    on.restricted.grant("+lmove", "+zadd")
    await on.says(200, "OK")
    await until(lambda: on.receiver.names("/hook", "late") == HOOK[:1], what="the webhook of that time")


async def cannot_save(on: Stage) -> None:
    """MISCONF: no writes, and events all the same."""
    for client in on.clients:
        await client.subscribe("unsaved")
    in_its_way = on.server.folder / "dump.rdb"
    in_its_way.mkdir()
    with on.server.client() as admin:
        admin.config_set("save", "3600 1")
        admin.bgsave()
        try:
            await until(lambda: asyncio.to_thread(refuses_ping, admin), what="MISCONF")
            await on.says(503, "shared state")
            await _reaches_both(on, "unsaved")
        finally:
            admin.config_set("save", "")
            in_its_way.rmdir()
            admin.save()
    await on.says(200, "OK")


async def cut_off(on: Stage) -> None:
    """By `client-output-buffer-limit`, a worker that does not read."""
    client = on.clients[0]
    await client.subscribe("cut")
    worker = await asyncio.to_thread(on.engine.worker_of, client.local_port)
    with on.server.client() as admin:
        admin.config_set("client-output-buffer-limit", "pubsub 65536 0 0")
        os.kill(worker, signal.SIGSTOP)
        try:
            # A worker that stood longer would count as stuck.
            unread = b"x" * UNREAD_BYTES
            wait_until(lambda: admin.publish("sockudo_adapter:1/cut", unread) == 0, 6, "cut off by the server")
        finally:
            os.kill(worker, signal.SIGCONT)
            admin.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")
    await until(lambda: "was not heard: Redis had cut this worker off" in on.engine.log(), what="the line in the log")
    await on.says(200, "OK")
    await on.publish("cut", "after")
    await client.next("after", "cut")


Scene = Callable[[Stage], Awaitable[None]]
#: The table's columns.
SCENES: dict[str, Scene] = {
    "presence": presence,
    "events": events,
    "counts": counts,
    "webhooks": webhooks,
    "killed, back empty": recovery,
    "FLUSHALL": emptied,
    "a right taken away": right_taken,
    "cannot save": cannot_save,
    "worker cut off": cut_off,
}


def config(url: str, receiver: WebhookReceiver) -> dict[str, object]:
    app = APP | {"enable_subscription_count": True}
    app["webhooks"] = [{"url": f"{receiver.url}/hook", "event_types": HOOK}]
    return {
        "database": {"redis": {"url": url}},
        "adapter": {"shared_memory": False},
        "app_manager": {"array": {"apps": [app]}},
    }


async def play(scene: Scene, server: ValkeyServer, engine: Engine, receiver: WebhookReceiver) -> str:
    """What went wrong; "" for nothing."""
    async with AsyncExitStack() as stack:
        first, second = engine.workers()
        clients = await connected_to(stack, engine, first), await connected_to(stack, engine, second)
        try:
            await scene(Stage(server, engine, receiver, clients))
        except AssertionError as error:
            return str(error).partition("\n")[0] or "not as it must be"
    return ""


async def _reaches_both(on: Stage, channel: str) -> None:
    await on.publish(channel, "carried")
    for client in on.clients:
        await client.next("carried", channel)


def _says_two(frame: dict[str, object]) -> bool:
    told = frame["event"] == "pusher_internal:subscription_count" and frame.get("channel") == "counted"
    return told and json.loads(str(frame["data"]))["subscription_count"] == 2


def _members(engine: Engine, channel: str) -> set[str]:
    answer = engine.request("GET", f"/channels/{channel}/users")
    return {each["id"] for each in answer.json["users"]} if answer.status == 200 else set()
