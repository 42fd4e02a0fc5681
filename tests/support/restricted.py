"""An engine whose Redis user has just the rights that docs/redis.md names, and what its workers say of that server."""

from __future__ import annotations

import redis

from tests.support.engine import Engine, all_say
from tests.support.valkey import ValkeyServer

#: As docs/redis.md names them.
RIGHTS = ("~sockudo*", "resetchannels", "&sockudo*", "+@all", "-@admin", "-@dangerous", "+info")
#: Of a message by which a server cuts off who does not read. Of a larger one Valkey 9 counts a reference (`findings/`).
UNREAD_BYTES = 10_000


def user_made(server: ValkeyServer) -> str:
    """Make the user; the address that names it."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", *RIGHTS)
    return server.url.replace("unix://", "unix://app:pw@")


class Restricted:
    """A server, and an engine of two workers there under a user of its own."""

    def __init__(self, server: ValkeyServer, engine: Engine) -> None:
        self.server = server
        self.engine = engine

    def grant(self, *rights: str) -> None:
        with self.server.client() as client:
            client.execute_command("ACL", "SETUSER", "app", *rights)

    def all_say(self, status: int, text: str) -> bool:
        return all_say(self.engine, status, text)


def refuses_ping(admin: redis.Redis) -> bool:
    """Whether its last snapshot failed (MISCONF)."""
    try:
        admin.execute_command("PING")
    except redis.exceptions.ResponseError as error:
        return "MISCONF" in str(error)
    return False
