"""The faults: what is broken, for how long, and what is promised of it. Judges nothing."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import redis
from redis.crc import key_slot

from tests.chaos.cluster import HOOK, WATCHED
from tests.chaos.grounds import BASE, OneServer, Shards
from tests.chaos.node import send
from tests.faults.endpoint import Kind
from tests.faults.grounds import BehindProxy, OnSmallDisk
from tests.faults.stage import Scene, Stage
from tests.faults.unread import CLIENTS, DEAF, some_stop_reading
from tests.support.bad_proxy import Mode
from tests.support.receiver import Answer
from tests.support.valkey_cluster import SLOTS, Member

Act = Callable[[Stage], Awaitable[None]]
HOLD_S = 5.0
#: Another server has taken over by then, and all workers have announced what they hold, and are steady again.
LONG_S = 15.0

OTHERS = "others notice nothing; each departure is told once"
NOTHING = "no webhook lost, repeated or out of order"
RESUMES = "local traffic goes on; all is right again by itself"
ANNOUNCED = "local traffic goes on; who is here is told anew, with a greater `seq`"
UNREAD = "only they are cut off, once 1 MiB waits for each"
ENDPOINT = "others are not delayed; all is delivered once it takes it"


# --- processes


async def _leader(stage: Stage) -> int:
    while (pid := await asyncio.to_thread(stage.cluster.leader)) is None:
        await asyncio.sleep(0.1)
    return pid


async def _worker(stage: Stage) -> int:
    leader = await _leader(stage)
    return next(pid for pid in stage.cluster.workers() if pid != leader)


def _killed(who: Callable[[Stage], Awaitable[int]]) -> Act:
    async def act(stage: Stage) -> None:
        pid = await who(stage)
        stage.victims.add(pid)
        send(pid, signal.SIGKILL)

    return act


def _stopped(who: Callable[[Stage], Awaitable[int]], for_s: float) -> Act:
    async def act(stage: Stage) -> None:
        pid = await who(stage)
        stage.victims.add(pid)
        send(pid, signal.SIGSTOP)
        await asyncio.sleep(for_s)
        # It may have been killed meanwhile, and its number may be another's.
        if pid in stage.cluster.workers():
            send(pid, signal.SIGCONT)

    return act


async def _supervisor_stopped(stage: Stage) -> None:
    pid = stage.cluster.nodes[0].engine.process.pid
    send(pid, signal.SIGSTOP)
    await asyncio.sleep(HOLD_S)
    send(pid, signal.SIGCONT)


async def _supervisor_killed(stage: Stage) -> None:
    node = stage.up.pop(0)
    stage.victims.update(node.engine.workers())
    send(node.engine.process.pid, signal.SIGKILL)
    await asyncio.to_thread(node.engine.process.wait)
    end = time.monotonic() + 30
    while left := await asyncio.to_thread(node.engine.processes):
        if time.monotonic() > end:
            stage.problems.append(f"processes that outlive their supervisor: {left}")
            await asyncio.to_thread(node.kill)
        await asyncio.sleep(0.1)
    await asyncio.to_thread(node.start)
    await asyncio.to_thread(node.wait_ready)
    stage.up.insert(0, node)


async def _node_killed(stage: Stage) -> None:
    node = stage.up.pop(0)
    stage.victims.update(node.engine.workers())
    await asyncio.to_thread(node.kill)
    await asyncio.sleep(3)
    await asyncio.to_thread(node.start)
    await asyncio.to_thread(node.wait_ready)
    stage.up.insert(0, node)


# --- Redis


def _away(how: str, for_s: float = 2.0) -> Act:
    """:param how: `kill` or `shut_down`, as the grounds know them."""

    async def act(stage: Stage) -> None:
        await asyncio.to_thread(getattr(stage.ground, how))
        await asyncio.sleep(for_s)
        await asyncio.to_thread(stage.ground.bring_back)

    return act


def _paused(for_s: float) -> Act:
    async def act(stage: Stage) -> None:
        stage.ground.pause()
        await asyncio.sleep(for_s)
        stage.ground.resume()

    return act


async def _emptied(stage: Stage) -> None:
    assert isinstance(stage.ground, OneServer)
    await asyncio.to_thread(stage.ground.kill)
    shutil.rmtree(stage.ground.valkey.folder / "appendonlydir")
    await asyncio.sleep(1)
    await asyncio.to_thread(stage.ground.bring_back)


def _told(*commands: str, hold_s: float = HOLD_S, then: tuple[str, ...] = ()) -> Act:
    """Each command is a line; `then` repairs."""

    async def act(stage: Stage) -> None:
        with stage.ground.client() as client:
            for command in commands:
                client.execute_command(*command.split(" "))
            await asyncio.sleep(hold_s)
            for command in then:
                client.execute_command(*command.split(" "))

    return act


async def _buffers_overrun(stage: Stage) -> None:
    """Whoever is sent more than a few kB at once is cut off by Redis."""
    node = stage.cluster.nodes[0]
    batch = {"batch": [{"name": "fat", "channel": "numbers-A", "data": "x" * 9000}] * 10}
    app = {"app_id": WATCHED["id"], "key": WATCHED["key"], "secret": WATCHED["secret"]}
    with stage.ground.client() as client:
        client.config_set("client-output-buffer-limit", "pubsub 1024 0 0")
        for _ in range(10):
            await asyncio.to_thread(partial(node.engine.request, "POST", "/batch_events", batch, **app))
            await asyncio.sleep(HOLD_S / 10)
        client.config_set("client-output-buffer-limit", "pubsub 33554432 8388608 60")


def _proxied(mode: Mode, for_s: float = HOLD_S) -> Act:
    async def act(stage: Stage) -> None:
        assert isinstance(stage.ground, BehindProxy)
        stage.ground.proxy.mode = mode
        await asyncio.sleep(for_s)
        stage.ground.proxy.mode = "carry"

    return act


def _tampered(*command: str) -> Act:
    """The command, with each kind of key of the shared state once; but for the log of what is to be told, since nobody
    else knows of an arrival that was in it alone."""

    async def act(stage: Stage) -> None:
        with stage.ground.client() as client:
            for kind in ("channels:*", "members:*", "worker:*", "worker-members:*", "pending", "workers"):
                for key in list(client.scan_iter(f"{BASE}{kind}")):
                    client.execute_command(*(key if word == "KEY" else word for word in command))
                await asyncio.sleep(HOLD_S / 5)

    return act


async def _disk_full(stage: Stage) -> None:
    assert isinstance(stage.ground, OnSmallDisk)
    await asyncio.to_thread(stage.ground.fill)
    await asyncio.sleep(HOLD_S * 2)
    stage.ground.make_room()


# --- several servers


async def _handed_over(stage: Stage) -> None:
    await asyncio.to_thread(stage.ground.fail_over)


async def _other_master_killed(stage: Stage) -> None:
    shards = _shards(stage)
    master = shards.cluster.owner(key_slot(BASE.encode()))
    victim = next(found for slot in range(0, SLOTS, 100) if (found := shards.cluster.owner(slot)) is not master)
    await asyncio.to_thread(victim.kill)
    await asyncio.sleep(HOLD_S)
    await asyncio.to_thread(victim.start)


async def _other_slots_moved(stage: Stage) -> None:
    """Those of the numbered events, to another shard."""
    for name in ("numbers-A", "numbers-B"):
        await asyncio.to_thread(_move, _shards(stage), key_slot(f"{WATCHED['id']}/{name}".encode()))


async def _occupancy_moved(stage: Stage) -> None:
    await asyncio.to_thread(_move, _shards(stage), key_slot(BASE.encode()))


def _move(shards: Shards, slot: int) -> None:
    """Hand a slot over key by key, as redis-cli does."""
    source = shards.cluster.owner(slot)
    target = next(found for other in range(0, SLOTS, 100) if (found := shards.cluster.owner(other)) is not source)
    names: dict[Member, Any] = {member: member.call("CLUSTER", "MYID").decode() for member in (source, target)}
    target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
    source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
    while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
        source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *keys)
    for member in (target, source, *shards.cluster.members):
        try:
            member.call("CLUSTER", "SETSLOT", slot, "NODE", names[target])
        except redis.exceptions.ResponseError:
            continue  # a replica hears of it from its master


def _shards(stage: Stage) -> Shards:
    assert isinstance(stage.ground, Shards)
    return stage.ground


# --- endpoints


def _moody(*answers: Answer) -> Act:
    async def act(stage: Stage) -> None:
        turns = itertools.cycle(answers)
        stage.cluster.receiver.answer(path=HOOK, always=lambda: next(turns))
        await asyncio.sleep(HOLD_S)
        stage.cluster.receiver.answer(path=HOOK, always=200)

    return act


def _bad(kind: Kind) -> Act:
    """Another endpoint of the application; the one that is judged is well."""

    async def act(stage: Stage) -> None:
        stage.bad.kind = kind
        began, before = time.time(), stage.bad.asked
        await asyncio.sleep(HOLD_S)
        late_s = [
            time.time() - (time.monotonic() - request.at) - event["time_ms"] / 1000
            for request in stage.cluster.receiver.to(HOOK)
            for event in request.events
            if event["time_ms"] / 1000 > began
        ]
        if stage.bad.asked == before:
            stage.problems.append("the bad endpoint was not asked")
        if not late_s or min(late_s) > HOLD_S / 2:
            stage.problems.append("the other endpoint was told nothing meanwhile")
        stage.bad.kind = "well"

    return act


ALONE = {"misses": True}
LOSSY = {"misses": True, "loses": True}

SCENES = [
    Scene("a worker is killed", "one", OTHERS, _killed(_worker)),
    Scene("a worker is stopped for 3 s", "one", OTHERS, _stopped(_worker, 3)),
    Scene("a worker is stopped until it is killed as stuck", "one", OTHERS, _stopped(_worker, 20)),
    Scene("the leader is killed", "one", NOTHING, _killed(_leader)),
    Scene("the leader is stopped for 6 s", "one", NOTHING, _stopped(_leader, 6)),
    Scene("a supervisor is killed, and started again", "one", OTHERS, _supervisor_killed),
    Scene("a supervisor is stopped for 5 s", "one", "nobody notices", _supervisor_stopped),
    Scene("a node is killed, and started again", "one", OTHERS, _node_killed),
    Scene(f"{DEAF} of {CLIENTS:,} clients stop reading", "one", UNREAD, some_stop_reading),
    Scene("Redis is killed", "one", RESUMES, _away("kill"), **ALONE),
    Scene("Redis is restarted", "one", RESUMES, _away("shut_down"), **ALONE),
    Scene("Redis is stopped for 5 s", "one", RESUMES, _paused(5), **ALONE),
    Scene("Redis is stopped for 20 s", "one", RESUMES, _paused(20), **ALONE),
    Scene("Redis is full", "one", RESUMES, _told("CONFIG SET maxmemory 1", then=("CONFIG SET maxmemory 0",)), **ALONE),
    Scene("Redis is read-only", "one", RESUMES, _told("REPLICAOF 127.0.0.1 1", then=("REPLICAOF NO ONE",)), **ALONE),
    Scene(
        "Redis has another password",
        "one",
        RESUMES,
        _told(
            *("CONFIG SET requirepass other", "CLIENT KILL TYPE normal SKIPME yes", "CLIENT KILL TYPE pubsub"),
            then=("CONFIG SET requirepass ",),
        ),
        **ALONE,
    ),
    Scene("Redis cuts off for its output buffers", "one", RESUMES, _buffers_overrun, **ALONE),
    Scene("Redis is flushed", "one", ANNOUNCED, _told("FLUSHALL"), **LOSSY),
    Scene("Redis is restarted empty", "one", ANNOUNCED, _emptied, **LOSSY),
    Scene("keys of Redis are deleted by others", "one", ANNOUNCED, _tampered("DEL", "KEY"), **LOSSY),
    Scene("keys of Redis are overwritten by others", "one", ANNOUNCED, _tampered("SET", "KEY", "x"), **LOSSY),
    Scene("an endpoint fails", "one", NOTHING, _moody(500)),
    Scene("an endpoint does not answer", "one", NOTHING, _moody("hang")),
    Scene("an endpoint takes it and says nothing", "one", NOTHING, _moody("deaf", "drop", "break", 200)),
    *(
        Scene(f"another endpoint {words}", "one", ENDPOINT, _bad(kind))
        for words, kind in (
            ("resets at once", "refuses"),
            ("resets later", "resets"),
            ("answers nonsense", "garbage"),
            ("answers byte by byte", "drips"),
            ("answers without end", "endless"),
            ("redirects", "redirects"),
        )
    ),
    Scene("Redis is slow (0.3 s)", "proxy", RESUMES, _proxied("delay"), **ALONE),
    Scene("Redis is cut off", "proxy", RESUMES, _proxied("cut"), **ALONE),
    Scene("connections to Redis are reset", "proxy", RESUMES, _proxied("reset"), **ALONE),
    Scene("connections to Redis are half closed", "proxy", RESUMES, _proxied("half-close"), **ALONE),
    Scene("Redis answers nonsense", "proxy", RESUMES, _proxied("garbage"), **ALONE),
    Scene("Redis' disk is full", "disk", RESUMES, _disk_full, **LOSSY),
    Scene("Sentinel's master is killed", "sentinel", ANNOUNCED, _away("kill", HOLD_S), **LOSSY),
    Scene("Sentinel's master is stopped", "sentinel", ANNOUNCED, _paused(HOLD_S), **LOSSY),
    Scene(f"Sentinel's master is stopped for {LONG_S:g} s", "sentinel", ANNOUNCED, _paused(LONG_S), **LOSSY),
    Scene("Sentinel fails over by hand", "sentinel", ANNOUNCED, _handed_over, **LOSSY),
    Scene("a master of a Redis Cluster is killed", "cluster", RESUMES, _other_master_killed, **LOSSY),
    Scene("the shard of occupancy is killed", "cluster", ANNOUNCED, _away("kill", HOLD_S), **LOSSY),
    Scene("the shard of occupancy is stopped", "cluster", ANNOUNCED, _paused(HOLD_S), **LOSSY),
    Scene(f"the shard of occupancy is stopped for {LONG_S:g} s", "cluster", ANNOUNCED, _paused(LONG_S), **LOSSY),
    Scene("the shard of occupancy is handed over", "cluster", ANNOUNCED, _handed_over, **LOSSY),
    Scene("slots of channels are moved", "cluster", "nothing is lost", _other_slots_moved, **LOSSY),
    Scene("the slot of occupancy is moved", "cluster", RESUMES, _occupancy_moved, **LOSSY),
]
