"""Servers that do for the engine and servers that do not, each named in one line, on real ones."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import redis

from engine.config.redis import RedisOptions
from engine.errors import StoreUnavailable, StoreUnsuitable
from engine.redis.pool import connect
from engine.redis.scripts import commands, load
from engine.redis.suitability import Ground, Suitability
from tests.support.valkey import ValkeyServer
from tests.support.valkey_cluster import ValkeyCluster

LUA = Path(__file__).resolve().parents[2] / "engine" / "redis" / "lua"
GROUND = Ground("app:{0}:", ("queue:", "cache:"), "topics:")
ALL = ("~*", "&*", "+@all")


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as started:
        yield started


@asynccontextmanager
async def judged(options: RedisOptions, ground: Ground = GROUND) -> AsyncIterator[tuple[Suitability, list[str]]]:
    client = connect(options)
    told: list[str] = []
    try:
        made = Suitability(client, ground, clustered=bool(options.nodes))
        made.on_change = told.append
        yield made, told
    finally:
        await client.aclose()


async def said_of(server: ValkeyServer, *rights: str) -> str:
    """What is wrong with the rights of a user; "" for nothing."""
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "some", "reset", "on", ">pw", *rights)
    options = replace(RedisOptions.parse(server.url), username="some", password="pw")
    async with judged(options) as (suitability, told):
        try:
            await suitability.hold()
        except StoreUnsuitable as error:
            assert told == [str(error)]
            return str(error)
        assert told == []
        return ""


def test_the_proof_tries_every_command_of_every_script() -> None:
    used = {
        command
        for path in LUA.glob("*.lua")
        for command in re.findall(r"p?call\(\s*'([A-Z]+)'", path.read_text())
        if path.name != "suitability.lua"
    }
    tried = set(re.findall(r"try\('([A-Z]+)'", (LUA / "suitability.lua").read_text()))
    assert used and used - tried - {"TIME", "MEMORY", "INFO", "PUBLISH", "SPUBLISH"} == set()


async def test_a_whole_server_passes_and_keeps_nothing_of_the_proof(server: ValkeyServer) -> None:
    async with judged(RedisOptions.parse(server.url)) as (suitability, told):
        await suitability.hold()
        assert suitability.proved and told == []
    with server.client() as admin:
        assert admin.keys("*") == []


async def test_a_cluster_passes(redis_cluster: ValkeyCluster) -> None:
    ground = Ground("app:{0}:", ("queue:{0}:", "cache:"), "topics:{0}:")
    async with judged(redis_cluster.redis_options(), ground) as (suitability, told):
        await suitability.hold()
        assert suitability.proved and told == []


@pytest.mark.parametrize("command", ["lmove", "blmove", "zadd", "eval", "evalsha", "hscan", "getrange", "time"])
async def test_a_right_that_is_missing_is_named(server: ValkeyServer, command: str) -> None:
    said = await said_of(server, *ALL, f"-{command}")
    assert said.startswith("the Redis user may not run ") and command.upper() in said


async def test_keys_and_channels_that_are_not_allowed_are_named(server: ValkeyServer) -> None:
    assert "may not use all keys" in await said_of(server, "&*", "+@all", "~app:*", "~queue:*")
    assert "may not use all channels" in await said_of(server, "~*", "+@all")


async def test_rights_to_just_what_is_used_are_enough(server: ValkeyServer) -> None:
    assert await said_of(server, "&topics:*", "~app:*", "~queue:*", "~cache:*", "+@all", "-@admin", "-@dangerous") == ""


async def test_a_replica_is_named() -> None:
    with ValkeyServer(("--replicaof", "127.0.0.1 1")) as replica:
        async with judged(RedisOptions.parse(replica.url)) as (suitability, _):
            with pytest.raises(StoreUnsuitable, match="is a replica, which takes no writes"):
                await suitability.hold()


async def test_a_command_that_is_switched_off_is_named_with_the_version() -> None:
    with ValkeyServer(("--rename-command", "LMOVE", "")) as server:
        async with judged(RedisOptions.parse(server.url)) as (suitability, _):
            with pytest.raises(StoreUnsuitable, match=r"Valkey [\d.]+ has no LMOVE: Redis 6.2 or Valkey 7.2 is needed"):
                await suitability.hold()


async def test_a_policy_that_throws_shared_state_away_is_named_and_served(server: ValkeyServer) -> None:
    with ValkeyServer(("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")) as evicting:
        async with judged(RedisOptions.parse(evicting.url)) as (suitability, told):
            await suitability.hold()
            assert suitability.proved and len(told) == 1 and "allkeys-lru" in told[0]


async def test_a_full_server_is_away_and_not_unsuitable() -> None:
    with ValkeyServer(("--maxmemory", "1")) as full:
        async with judged(RedisOptions.parse(full.url)) as (suitability, told):
            with pytest.raises(StoreUnavailable) as raised:
                await suitability.hold()
            assert not isinstance(raised.value, StoreUnsuitable) and told == []


async def test_no_script_is_begun_before_the_rights_are_there_and_then_it_runs(server: ValkeyServer) -> None:
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "late", "reset", "on", ">pw", *ALL, "-publish")
        options = replace(RedisOptions.parse(server.url), username="late", password="pw")
        async with judged(options) as (suitability, told):
            script = load("rate_limit")
            with pytest.raises(StoreUnsuitable):
                await suitability.run(script, ["app:counter"], [1, 60_000, 1], 5.0)
            assert not admin.exists("app:counter")
            admin.execute_command("ACL", "SETUSER", "late", "+publish")
            async with asyncio.timeout(30):
                while not admin.exists("app:counter"):
                    try:
                        await suitability.run(script, ["app:counter"], [1, 60_000, 1], 5.0)
                    except StoreUnsuitable:
                        await asyncio.sleep(0.01)
            assert told[-1] == "" and len(told) == 2
        admin.flushall()


@pytest.mark.parametrize("path", sorted(LUA.glob("*_*.lua")), ids=lambda path: path.stem)
def test_no_script_begins_that_may_not_run_all_of_its_commands(server: ValkeyServer, path: Path) -> None:
    family, _, own = path.stem.partition("_")
    if own == "common" or not (LUA / f"{family}_common.lua").exists():
        return
    script = load(path.stem, common=f"{family}_common")
    with server.client() as admin:
        admin.execute_command("ACL", "SETUSER", "other", "reset", "on", ">pw", *ALL)
        with redis.from_url(server.url.replace("unix://", "unix://other:pw@")) as client:
            for command in commands(script.source):
                admin.execute_command("ACL", "SETUSER", "other", f"-{command}")
                with pytest.raises(redis.ResponseError, match=f"may not run {command}"):
                    client.eval(script.source, 1, "app:{0}:", "topics:")
                admin.execute_command("ACL", "SETUSER", "other", f"+{command}")
        assert admin.keys("*") == []
