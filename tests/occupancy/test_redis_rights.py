"""A right is taken away between the proof and the use: a report then changes nothing, and loses nothing later."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from engine.errors import StoreUnavailable
from engine.interfaces import MemberReport
from engine.redis.scripts import commands, load
from tests.occupancy.clusters import InRedis
from tests.occupancy.stores import presence
from tests.support.valkey import ValkeyServer

REPORT = load("occupancy_report", common="occupancy_common")


@pytest.fixture(scope="module")
def server() -> Iterator[ValkeyServer]:
    with ValkeyServer() as started, started.client() as admin:
        admin.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "&*", "+@all")
        yield started


@pytest.mark.parametrize(
    "taken, given", [*((f"-{name}", f"+{name}") for name in commands(REPORT.source)), ("resetchannels", "&*")]
)
async def test_a_report_is_applied_whole_or_not_at_all(server: ValkeyServer, taken: str, given: str) -> None:
    cluster = InRedis(server.url.replace("unix://", "unix://app:pw@"))
    try:
        await cluster.listen()
        store = cluster.store()
        await store.join("a")
        with server.client() as admin:
            before = _all(admin)
            admin.execute_command("ACL", "SETUSER", "app", taken)
            try:
                with pytest.raises(StoreUnavailable, match="may not"):
                    await store.report("a", [presence(1, MemberReport("u", 1, "i"))])
                assert _all(admin) == before
            finally:
                admin.execute_command("ACL", "SETUSER", "app", given)
        await store.report("a", [presence(1, MemberReport("u", 1, "i"))])
        due = await store.due(10)
        assert [transition.name for transition in due.transitions] == ["channel_occupied", "member_added"]
    finally:
        await cluster.close()


def _all(admin: redis.Redis) -> dict[bytes, bytes | None]:
    return {key: admin.dump(key) for key in admin.keys("*")}
