"""What is measured: each scenario is a load, the servers that can take it, and the options of the load client.

The page (`benchmarks/page`) shows them in this order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

#: What is run when nothing is asked for: the engine, its limits and its peers.
EVERY_SERVER = ("floor", "engine", "soketi", "websockets")
SPEAKERS = ("engine", "soketi")

#: Half of what this server can publish flat out, in the same run: a load that all of them can carry.
HALF_OF = "soketi"
HALF_FALLBACK = 25.0


@dataclass(frozen=True)
class Scenario:
    """One load.

    :ivar kind: `load` measures a stream of events; `connect` stops when all connections stand.
    :ivar client: options of the load client, by their names on its command line.
    :ivar event_bytes: size of an event's data; 0 where nothing is published over HTTP.
    :ivar half_of: take half the publish rate that HALF_OF reached in this scenario.
    """

    name: str
    title: str
    text: str
    servers: tuple[str, ...]
    client: Mapping[str, Any]
    kind: Literal["load", "connect"] = "load"
    event_bytes: int = 100
    webhooks: bool = False
    half_of: str = ""


SCENARIOS = (
    Scenario(
        "fan-out",
        "Fan-out at a fixed rate",
        "50 publishes/s to one channel of 1,000 subscribers, events of 100 bytes.",
        EVERY_SERVER,
        {"conns": 1000, "rate": 50},
    ),
    Scenario(
        "fan-out-flat",
        "Fan-out, publishing flat out",
        "1,000 subscribers; 8 keep-alive connections publish, each as soon as its last publish is answered.",
        EVERY_SERVER,
        {"conns": 1000, "pubs": 8},
    ),
    Scenario(
        "fan-out-half",
        "Fan-out at half load",
        "1,000 subscribers at half of what soketi can publish flat out in the same run.",
        EVERY_SERVER,
        {"conns": 1000},
        half_of="fan-out-flat",
    ),
    Scenario(
        "publish",
        "Publish rate",
        "One subscriber; 8 keep-alive connections, one request under way on each.",
        ("engine", "soketi", "websockets"),
        {"conns": 1, "pubs": 8},
    ),
    Scenario(
        "publish-16",
        "Publish rate, 16 connections",
        "One subscriber; 16 keep-alive connections, one request under way on each.",
        ("floor", "engine", "soketi"),
        {"conns": 1, "pubs": 16},
    ),
    Scenario(
        "publish-pipelined",
        "Publish rate, pipelined",
        "One subscriber; 4 keep-alive connections, 16 requests under way on each. soketi answers one at a time.",
        ("engine", "websockets"),
        {"conns": 1, "pubs": 4, "depth": 16},
    ),
    Scenario(
        "storm",
        "Connect storm",
        "5,000 clients connect and subscribe to one channel, 200 under way at a time.",
        ("floor", "engine", "engine-2", "soketi", "websockets"),
        {"conns": 5000, "window": 200},
        kind="connect",
        event_bytes=0,
    ),
    Scenario(
        "idle",
        "Memory of idle connections",
        "8,000 clients that only stay connected, each subscribed to one public channel that all of them share.",
        (*SPEAKERS, "websockets"),
        {"conns": 8000, "window": 200},
        kind="connect",
        event_bytes=0,
    ),
    Scenario(
        "many-channels",
        "Many channels",
        "5,000 channels with one subscriber each; 8 keep-alive connections publish to one after the other, flat out.",
        (*SPEAKERS, "websockets"),
        {"conns": 5000, "channels": 5000, "pubs": 8},
    ),
    Scenario(
        "rooms",
        "Rooms at a fixed rate",
        "100 channels of 9 subscribers, 5,000 publishes/s to one after the other on 16 keep-alive connections.",
        ("floor", "engine", "engine-2", "soketi"),
        {"conns": 900, "channels": 100, "pubs": 16, "rate": 5000},
    ),
    Scenario(
        "rooms-flat",
        "Rooms, flat out",
        "The same 100 channels of 9 subscribers; 32 keep-alive connections publish, one request under way on each.",
        ("floor", "engine", "engine-2", "soketi"),
        {"conns": 900, "channels": 100, "pubs": 32},
    ),
    Scenario(
        "presence",
        "Presence churn",
        "10 presence channels, in each 10 members who stay and 20 who join, leave, and join again: 300 joins/s in all.",
        SPEAKERS,
        {"mode": "churn", "conns": 300, "channels": 10, "observers": 10, "rate": 300, "prefix": "presence-bench-"},
        event_bytes=0,
    ),
    Scenario(
        "client-events",
        "Client events",
        "100 private channels of 10 clients, who send each other events: the next one when all others have the last.",
        ("floor", *SPEAKERS),
        {"mode": "chat", "conns": 1000, "channels": 100, "prefix": "private-bench-", "event_data": "x" * 70},
        event_bytes=0,
    ),
    Scenario(
        "webhooks",
        "Webhooks",
        "2,000 client events/s, each of which is one webhook event, batched up to 50 ms, to a local endpoint.",
        SPEAKERS,
        {
            "mode": "chat",
            "conns": 100,
            "channels": 50,
            "rate": 2000,
            "prefix": "private-bench-",
            "event_data": "x" * 70,
        },
        event_bytes=0,
        webhooks=True,
    ),
    Scenario(
        "webhooks-flat",
        "Webhooks, flat out",
        "The same with the next client event sent when the last has arrived; webhooks that lag behind are waited for.",
        SPEAKERS,
        {"mode": "chat", "conns": 100, "channels": 50, "prefix": "private-bench-", "event_data": "x" * 70},
        event_bytes=0,
        webhooks=True,
    ),
    Scenario(
        "two-workers",
        "Two workers",
        "50 publishes/s to 1,000 subscribers, who are spread over two workers; all processes together on one core.",
        ("engine", "engine-2", "engine-2-valkey"),
        {"conns": 1000, "rate": 50},
    ),
    Scenario(
        "two-workers-few",
        "Two workers, few subscribers",
        "1,000 publishes/s to 10 subscribers, who are spread over two workers; all processes together on one core.",
        ("engine", "engine-2", "engine-2-valkey"),
        {"conns": 10, "rate": 1000, "pubs": 8},
    ),
    Scenario(
        "client-limit",
        "Is the load client the limit?",
        "The floor, published to by 8 connections with 8 requests under way each: more than any server is asked for.",
        ("floor",),
        {"conns": 1000, "pubs": 8, "depth": 8},
    ),
)

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
