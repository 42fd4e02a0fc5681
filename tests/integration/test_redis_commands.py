"""What a subscription costs in Redis with and without a webhook, command by command: the table of docs/webhooks.md."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Awaitable, Callable
from typing import Any

from engine.redis.scripts import load
from tests.support.client import PusherClient, connected
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.monitor import Command, Monitor, monitored
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until

ROUNDS = 3
EVERY = ["channel_occupied", "channel_vacated", "member_added", "member_removed", "client_event"]
#: Applications by what their webhooks want.
NONE, OTHERS, WANTED = "none", "others", "wanted"

REPORT = load("occupancy_report", common="occupancy_common")

#: What the leader asks of every channel on its slow walk over all figures, whenever that passes by.
WALK = ("HLEN", "HSCAN")

Step = Callable[[PusherClient, str], Awaitable[Any]]
#: What is done, by its name in the table, and before it what is not counted.
STEPS: dict[str, tuple[str, Step]] = {
    "subscribe": ("room", lambda client, channel: client.subscribe(channel)),
    "unsubscribe": ("room", lambda client, channel: client.unsubscribe(channel)),
    "join a presence channel": ("presence-room", lambda client, channel: client.subscribe(channel, "ada")),
    "leave a presence channel": ("presence-room", lambda client, channel: client.unsubscribe(channel)),
}


def config(receiver: WebhookReceiver, valkey: ValkeyServer) -> dict[str, Any]:
    hook = {"url": f"{receiver.url}/hook", "event_types": EVERY}
    webhooks = {NONE: [], OTHERS: [hook | {"filter": {"channel_prefix": "other-"}}], WANTED: [hook]}
    apps = [APP | {"id": name, "key": name, "webhooks": wants} for name, wants in webhooks.items()]
    return {
        "app_manager": {"array": {"apps": apps}},
        "database": {"redis": {"url": valkey.url}},
        "webhooks": {"settle_ms": 3_000},
    }


def test_a_webhook_that_wants_nothing_of_a_channel_costs_no_command(receiver: WebhookReceiver) -> None:
    with (
        ValkeyServer() as valkey,
        running(config(receiver, valkey), 2) as engine,
        monitored(valkey) as monitor,
    ):
        costs = {app: asyncio.run(count(engine, monitor, app)) for app in (NONE, OTHERS, WANTED)}
    for step, expected in costs[NONE].items():
        assert costs[OTHERS][step] == expected, "the very same commands"
    counted = {step: [_figures(costs[app][step]) for app in (NONE, OTHERS, WANTED)] for step in STEPS}
    assert counted == table()


async def count(engine: Engine, monitor: Monitor, app: str) -> dict[str, list[str]]:
    """The commands of each step."""
    costs: dict[str, list[str]] = {}
    async with connected(engine.ws_url, app) as client:
        # From here on Redis knows the scripts.
        await client.subscribe(f"presence-{app}-first", "ada")
        for n in range(ROUNDS):
            for step, (stem, do) in STEPS.items():
                verbs = await _count_once(monitor, app, f"{stem}-{app}-{n}", functools.partial(do, client))
                assert costs.setdefault(step, verbs) == verbs, "the same each time"
    return costs


async def _count_once(monitor: Monitor, app: str, channel: str, do: Callable[[str], Awaitable[Any]]) -> list[str]:
    before = monitor.fence()
    await do(channel)
    await until(lambda: "EVALSHA" in cost_of(monitor.commands[before:], app, channel))
    commands = monitor.commands[before : monitor.fence()]
    assert sum(c.scripted and c.text.endswith(":wake ") for c in commands) == (app == WANTED)
    return cost_of(commands, app, channel)


def cost_of(commands: list[Command], app: str, channel: str) -> list[str]:
    """Those that tell Redis of this channel, with what a script does for that, which is indented."""
    verbs: list[str] = []
    ours = False
    for command in commands:
        if not command.scripted:
            reports = command.text.startswith(f"EVALSHA {REPORT.sha} ") and f" {app} {channel} " in command.text
            ours = reports or (command.verb not in WALK and command.text.endswith(f":{app}/{channel}"))
        if ours:
            verbs.append("  " * command.scripted + command.verb)
    return verbs


def _figures(verbs: list[str]) -> str:
    inside = sum(verb.startswith(" ") for verb in verbs)
    return f"{len(verbs) - inside} + {inside}"


def table() -> dict[str, list[str]]:
    """The rows of docs/webhooks.md whose cells are figures such as `2 + 7`."""
    text = (ROOT / "docs" / "webhooks.md").read_text()
    rows = re.findall(r"^\| ([a-z ]+) \| (\d+ \+ \d+) \| (\d+ \+ \d+) \| (\d+ \+ \d+) \|$", text, re.MULTILINE)
    return {name: figures for name, *figures in rows}
