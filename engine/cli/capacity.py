"""`python -m engine capacity`: how many nodes a load takes, and what is full first.

Only says what `sizing.py` works out; it asks no running engine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from engine.cli.sizing import GIB, OF_NODES, Load, Machine, Measured, Plan, plan, stored
from engine.cli.text import say
from engine.errors import ConfigError


def answer(asked: Mapping[str, Any], *, as_json: bool) -> int:
    """:param asked: a number for each field of `Load`, and for the machine cores, memory_gib, network_gbit and use in
    percent. Raises ConfigError for what no cluster can be.
    """
    for name in ("connections", "cores", "memory_gib", "network_gbit", "use", "session_s"):
        if asked[name] <= 0:
            raise ConfigError(f"capacity: --{name.replace('_', '-')} must be more than 0")
    if asked["use"] > 100 or asked["cores"] < 1:
        raise ConfigError("capacity: --use is at most 100, and --cores at least 1")
    most = asked["connections"] * asked["joins_per_connection"]
    if (asked["publishes"] or asked["client_events"]) and asked["subscribers"] > asked["connections"]:
        raise ConfigError(f"capacity: --subscribers is at most --connections, {asked['connections']:g}")
    if asked["channels"] > most:
        raise ConfigError(f"capacity: --channels is at most --connections × --joins-per-connection, {most:g}")
    load = Load(**{field.name: asked[field.name] for field in fields(Load)})
    machine = Machine(int(asked["cores"]), asked["memory_gib"] * GIB, asked["network_gbit"] * 1e9, asked["use"] / 100)
    measured = stored()
    empty = measured.costs.node_bytes + machine.cores * measured.costs.worker_bytes
    if empty > machine.memory_bytes * machine.use:
        raise ConfigError(
            f"capacity: {machine.cores} workers take {empty / GIB:.2g} GiB before they have clients, and"
            f" {machine.memory_bytes * machine.use / GIB:.2g} GiB of a node are to be used"
        )
    found = plan(measured.costs, load, machine)
    if found.lacks(machine):
        name = max(OF_NODES, key=found.shares.__getitem__)
        raise ConfigError(
            f"capacity: {found.workers} workers do not carry it: {name} would be used to {found.shares[name]:,.0%}"
        )
    if as_json:
        document = {**asdict(found), "first": found.first, "load": asdict(load), "measured": dict(measured.about)}
        say(json.dumps(document))
    else:
        for line in _lines(found, machine, measured):
            say(line)
    return 0


def _lines(found: Plan, machine: Machine, measured: Measured) -> list[str]:
    use = f"{machine.use:.0%}"
    lines = [
        f"nodes    {found.nodes} with {machine.cores} cores and {machine.memory_bytes / GIB:g} GiB each,"
        f" used to {use} at most; one more lets one be away",
        f"workers  {found.workers}, together busy on {found.worker_cores:.1f} cores",
        f"memory   {found.memory_bytes / GIB:.1f} GiB, {found.memory_bytes / found.nodes / GIB:.2f} GiB a node",
        f"network  {_bits(found.network_bits)} to clients",
        f"Redis    {found.redis_cores:.2f} of its core, {_bits(found.redis_bits)},"
        f" {found.redis_memory_bytes / GIB:.2f} GiB for who is where",
        "",
        *(f"{share:7.1%}  {name}" for name, share in sorted(found.shares.items(), key=lambda item: -item[1])),
        "",
        f"first    {found.first}",
    ]
    if max(found.shares["the core of Redis"], found.shares["network of Redis"]) > machine.use:
        shards = max(found.shares["the core of Redis"], found.shares["network of Redis"]) / machine.use
        lines.append(
            f"         one Redis is used to more than {use}: a Redis Cluster of some {math.ceil(shards)} shards"
        )
    if found.shares["the core of the worker that sends webhooks"] > machine.use:
        lines.append(f"         one worker sends all webhooks, and would be used to more than {use}")
    about = measured.about
    lines.append(f"from     costs of {about['version']}, measured {about['time']} on {about['machine']}")
    return lines


def _bits(number: float) -> str:
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    return f"{number / 1e3:.1f} kbit/s"
