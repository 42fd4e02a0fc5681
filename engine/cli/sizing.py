"""What a load takes: processor time, memory and Redis, worked out from the measured cost of each single thing.

Pure arithmetic over a stored measurement (`costs.json`, made by `python -m benchmarks.costs`). Knows nothing of a
running engine; docs/capacity.md says what it leaves out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

#: Of an event on its way, besides its data: names, JSON and the frame's head; and the same between workers.
FRAME_BYTES, ENVELOPE_BYTES = 100, 60
#: Clients ping when they have heard nothing for so long.
PING_S = 120.0
#: What the kernel keeps for an idle TCP connection. Not measured: it is in no process' figures.
KERNEL_BYTES = 4096
GIB = 1024**3
MAX_WORKERS = 100_000
#: Events a second at which `Rated` costs were measured. The more there are, the fewer awakenings each has for itself.
RATES = (150.0, 600.0, 1800.0)
#: What is said is so much more than what was measured: one measurement differs from the next by that.
MARGIN = 1.3
#: A cost for each of `RATES`.
Rated = tuple[float, ...]
#: What there is more of with more nodes; Redis and the worker that sends webhooks stay one.
OF_NODES = CORES, MEMORY, NETWORK = "workers' cores", "memory of a node", "network of a node"


@dataclass(frozen=True)
class Costs:
    """Of one thing each: microseconds of processor time (`_us`), bytes, or parts of a core all the time.

    What is `Rated` is in proportion to the events a second of one worker, or of Redis.

    :param worker_cores: of a worker with nothing to do. :param connect_us: handshake, first frame and close.
    :param join_us: a subscription to a channel that has others here. :param channel_us: more, when it has none.
    :param publish_us: a signed HTTP request, verified and answered. :param publish_kb_us: more, for each kB of data.
    :param arrival_us: in each worker with subscribers, once for an event. :param delivery_us: to one subscriber.
    :param client_event_us: a client's event, in the worker of that client.
    :param webhook_us: of one event told to an endpoint, in the worker that leads.
    :param redis_worker_cores: of Redis, for a worker with nothing to do.
    :param redis_publish_us: of Redis, for one event; `redis_arrival_us` for each worker that gets it,
        `redis_join_us` for a join and its leaving, `redis_webhook_us` for a webhook event.
    :param worker_bytes: of a worker with nothing in it. :param node_bytes: of a node's supervisor.
    :param channel_bytes: in the worker; `redis_channel_bytes` in Redis.
    """

    worker_cores: float
    connect_us: Rated
    ping_us: float
    join_us: Rated
    channel_us: Rated
    publish_us: Rated
    publish_kb_us: float
    arrival_us: Rated
    delivery_us: float
    delivery_kb_us: float
    client_event_us: Rated
    webhook_us: Rated
    redis_worker_cores: float
    redis_publish_us: Rated
    redis_arrival_us: Rated
    redis_join_us: Rated
    redis_webhook_us: Rated
    worker_bytes: float
    node_bytes: float
    connection_bytes: float
    join_bytes: float
    channel_bytes: float
    redis_channel_bytes: float


@dataclass(frozen=True)
class Measured:
    """:param about: machine, version and time. :param checks: loads that the costs were not taken from, as measured."""

    costs: Costs
    about: Mapping[str, str]
    checks: list[dict[str, object]]


@dataclass(frozen=True)
class Load:
    """What comes, all rates a second.

    :param subscribers: that hear of one event, in the whole cluster. :param channels: with a subscriber, at one time.
    :param joins_per_connection: channels that a connection subscribes to. :param session_s: how long it stays.
    :param connects: 0 is as many as the length of a session makes. :param bytes: of an event's data.
    """

    connections: float
    publishes: float = 0.0
    subscribers: float = 10.0
    channels: float = 0.0
    joins_per_connection: float = 3.0
    session_s: float = 1800.0
    connects: float = 0.0
    bytes: float = 200.0
    client_events: float = 0.0
    webhooks: float = 0.0


@dataclass(frozen=True)
class Machine:
    """A node, and how much of anything is to be used: the rest is for peaks and for a node that is away."""

    cores: int = 8
    memory_bytes: float = 16 * GIB
    network_bits: float = 10e9
    use: float = 0.6


@dataclass(frozen=True)
class Plan:
    """:ivar shares: what each resource is used to, 1 is all of it. The largest is full first."""

    nodes: int
    workers: int
    worker_cores: float
    memory_bytes: float
    redis_cores: float
    redis_memory_bytes: float
    redis_bits: float
    network_bits: float
    leader_cores: float
    shares: dict[str, float]

    @property
    def first(self) -> str:
        return max(self.shares, key=self.shares.__getitem__)

    def lacks(self, machine: Machine) -> float:
        """How much more than it is to be used that is used of which more nodes bring more; 0 when nothing is."""
        used = max(self.shares[name] for name in OF_NODES)
        return used / machine.use if used > machine.use else 0.0


def stored() -> Measured:
    """What comes with this version."""
    text = resources.files("engine.cli").joinpath("costs.json").read_text()
    document = json.loads(text)
    return Measured(costs_of(document["costs"]), document["about"], document["checks"])


def costs_of(document: Mapping[str, Any]) -> Costs:
    """From JSON, which has lists."""
    found: dict[str, Any] = {}
    for field in fields(Costs):
        cost = document[field.name]
        found[field.name] = tuple(cost) if isinstance(cost, list) else cost
    return Costs(**found)


def plan(costs: Costs, load: Load, machine: Machine) -> Plan:
    """The smallest number of nodes that carries it, each with a worker on every core."""
    nodes = 1
    while True:
        found = at(costs, load, machine, nodes * machine.cores, nodes)
        if not (lacking := found.lacks(machine)) or found.workers >= MAX_WORKERS:
            return found
        # First by what is lacking, for each worker more makes more arrivals, and then one by one.
        nodes = max(nodes + 1, math.floor(nodes * lacking * 0.9))


def at(costs: Costs, load: Load, machine: Machine, workers: int, nodes: int) -> Plan:
    """What that load makes of so many workers on so many nodes."""
    c = costs
    events = load.publishes + load.client_events
    arrivals = events * reached(workers, load.subscribers)
    deliveries = events * load.subscribers
    connects = load.connects or load.connections / load.session_s
    joins = connects * load.joins_per_connection
    kb = load.bytes / 1000
    # A channel is new in a worker when none of the others in it is there.
    held = min(load.channels or load.connections, load.connections * load.joins_per_connection)
    places = held * reached(workers, max(1.0, load.connections * load.joins_per_connection / held)) if held else 0.0
    news = joins * min(1.0, places / max(1.0, load.connections * load.joins_per_connection))
    # What wakes one worker: what comes to it from outside, and what comes to it from others.
    rate = (events + arrivals * (1 - 1 / workers)) / workers
    webhook_us = at_rate(c.webhook_us, load.webhooks)
    cores = workers * c.worker_cores + 1e-6 * (
        connects * at_rate(c.connect_us, connects / workers)
        + load.connections / PING_S * c.ping_us
        + joins * at_rate(c.join_us, joins / workers)
        + news * at_rate(c.channel_us, joins / workers)
        + load.publishes * (at_rate(c.publish_us, rate) + kb * c.publish_kb_us)
        + load.client_events * at_rate(c.client_event_us, rate)
        + arrivals * at_rate(c.arrival_us, rate)
        + deliveries * (c.delivery_us + kb * c.delivery_kb_us)
        + load.webhooks * webhook_us
    )
    memory = (
        nodes * c.node_bytes
        + workers * c.worker_bytes
        + load.connections * (c.connection_bytes + KERNEL_BYTES)
        + load.connections * load.joins_per_connection * c.join_bytes
        + places * c.channel_bytes
    )
    redis = workers * c.redis_worker_cores + 1e-6 * (
        events * at_rate(c.redis_publish_us, events)
        + arrivals * at_rate(c.redis_arrival_us, events)
        + joins * at_rate(c.redis_join_us, joins)
        + load.webhooks * at_rate(c.redis_webhook_us, load.webhooks)
    )
    cores, redis = MARGIN * cores, MARGIN * redis
    network = 8 * deliveries * (load.bytes + FRAME_BYTES)
    redis_bits = 8 * (events + arrivals) * (load.bytes + ENVELOPE_BYTES)
    leader = MARGIN * 1e-6 * load.webhooks * webhook_us
    return Plan(
        nodes,
        workers,
        cores,
        memory,
        redis,
        held * c.redis_channel_bytes,
        redis_bits,
        network,
        leader,
        {
            CORES: cores / workers,
            MEMORY: memory / nodes / machine.memory_bytes,
            NETWORK: network / nodes / machine.network_bits,
            "the core of Redis": redis,
            "network of Redis": redis_bits / machine.network_bits,
            "the core of the worker that sends webhooks": leader,
        },
    )


def at_rate(cost: Rated, rate: float) -> float:
    """Of one event, of so many a second. Between two of `RATES`, what a second of them takes is on a line; below and
    above all of them an event costs what it does at the nearest.
    """
    if rate <= RATES[0]:
        return cost[0]
    for number, upper in enumerate(RATES[1:], 1):
        if rate <= upper:
            lower = RATES[number - 1]
            least, most = lower * cost[number - 1], upper * cost[number]
            return (least + (most - least) * (rate - lower) / (upper - lower)) / rate
    return cost[-1]


def reached(workers: float, subscribers: float) -> float:
    """Of so many workers, how many have one of so many subscribers, who are anywhere."""
    return workers * (1 - math.pow(1 - 1 / workers, subscribers))
