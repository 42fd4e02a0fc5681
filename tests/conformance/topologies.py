"""The engine in the arrangements that rules are played on, with one app for each set of switches and limits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from tests.conformance import rule
from tests.conformance.play import App, Target
from tests.support.engine import Engine, running
from tests.support.node import NodeJs, missing
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

TOPOLOGIES = ("1 worker", "2 workers", "2 nodes")

_USUAL = {"enable_client_messages": True, "enable_user_authentication": True, "enable_watchlist_events": True}
_LIMITS = {
    "max_client_events_per_second": 5,
    "max_presence_members_per_channel": 2,
    "max_presence_member_size_in_kb": 1,
    "max_channel_name_length": 50,
    "max_event_channels_at_once": 3,
    "max_event_name_length": 20,
    "max_event_payload_in_kb": 1,
    "max_event_batch_size": 2,
}
#: Name in `rule.py` -> what differs from the server's defaults.
APPS: dict[str, dict[str, Any]] = {
    rule.MAIN: _USUAL,
    rule.LIMITED: _USUAL | _LIMITS,
    rule.QUIET: {},
    rule.DISABLED: {"enabled": False},
    rule.ORIGINS: {"allowed_origins": ["https://a.example", "b.example:8080", "*.c.example", "https://*.d.example"]},
    rule.COUNTED: _USUAL | {"enable_subscription_count": True},
    rule.FULL: {"max_connections": 1},
    rule.SECURE: {"tls_only": True},
    rule.KEPT: _USUAL
    | {
        "history": [
            {"channels": "little-*", "count": 2},
            {"channels": "private-talk-*", "client_events": True},
            {"channels": "*-kept-*"},
            {"channels": "*replay-*", "replay": {"count": 3}},
            {"channels": "*window-*", "count": 2, "replay": {"seconds": 60}},
        ],
        "presence_history": [{"channels": "presence-kept-*"}],
    },
    rule.PAUSED: {"max_backend_events_per_second": 2, "max_read_requests_per_second": 2},
}


def config() -> dict[str, Any]:
    """Clients are pinged after two seconds of silence, so that a test can see it."""
    apps = [
        {"id": str(n), "key": f"{name}-key", "secret": f"{name}-secret", **own}
        for n, (name, own) in enumerate(APPS.items(), 1)
    ]
    return {"activity_timeout": 2, "ssl": {"trust_forwarded_proto": True}, "app_manager": {"array": {"apps": apps}}}


@contextmanager
def started(topology: str) -> Iterator[Target]:
    """The engine in this arrangement, for as long as it is used."""
    with ExitStack() as stack:
        engines: list[Engine]
        if topology == "2 nodes":
            server = stack.enter_context(ValkeyServer())
            shared = config() | {"database": {"redis": {"url": server.url}}}
            engines = [stack.enter_context(running(shared)) for _ in range(2)]
        else:
            engines = [stack.enter_context(running(config(), int(topology[0])))]
        reason = missing()
        node = None if reason else stack.enter_context(NodeJs())
        apps = {name: App(str(n), f"{name}-key", f"{name}-secret") for n, name in enumerate(APPS, 1)}
        yield Target(topology, tuple(engine.http_url for engine in engines), apps, node=node, no_node=reason)
        for engine in engines:
            wait_until(lambda engine=engine: _kept(engine) == 0, what="connections that ended and are kept")


def _kept(engine: Engine) -> float:
    """Connections in memory that have ended: the garbage collector never looks at them."""
    text = engine.metrics()
    there, open_now = (
        sum(map(float, re.findall(rf"^sockudo_{name}\{{[^}}]*\}} (\S+)", text, re.M)))
        for name in ("connection_objects", "connected")
    )
    return there - open_now
