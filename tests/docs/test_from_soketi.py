"""docs/migrating-from-soketi.md: its commands; and webhooks of a converted configuration come as soketi sends them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from engine.config.loading.load import load
from engine.config.redis import Node
from engine.config.soketi.convert import convert
from tests.support.aws import CREDENTIALS, REGION, MotoAws
from tests.support.client import connected
from tests.support.engine import ROOT, Engine, environment, running
from tests.support.receiver import Received, WebhookReceiver
from tests.support.signing import sign
from tests.support.snippets import snippets
from tests.support.waiting import wait_until

KEY, SECRET = "key-7", "secret-7-abcdef"
ROOM, TALK, KEPT = "presence-a-x", "private-a", "cache-y"
#: What soketi 1.6.1 sends, by what its own sender sent when it was given these events.
THERE: dict[str, list[dict[str, Any]]] = {
    ROOM: [
        {"name": "channel_occupied", "channel": ROOM},
        {"name": "member_added", "channel": ROOM, "user_id": "u1"},
        {"name": "client_event", "channel": ROOM, "event": "client-t", "data": {"on": True}, "user_id": "u1"},
        {"name": "member_removed", "channel": ROOM, "user_id": "u1"},
        {"name": "channel_vacated", "channel": ROOM},
    ],
    TALK: [
        {"name": "channel_occupied", "channel": TALK},
        {"name": "client_event", "channel": TALK, "event": "client-t", "data": "text"},
        {"name": "channel_vacated", "channel": TALK},
    ],
    KEPT: [
        {"name": "channel_occupied", "channel": KEPT},
        {"name": "cache_miss", "channel": KEPT},
        {"name": "channel_vacated", "channel": KEPT},
    ],
}
KINDS = sorted({event["name"] for events in THERE.values() for event in events})
#: With the values of JSON in the quotes that the page tells of.
ENV = """# soketi
SOKETI_PORT=7001
SOKETI_DEFAULT_APP_ID=app-7
SOKETI_DEFAULT_APP_KEY=key-7
SOKETI_DEFAULT_APP_SECRET=secret-7-abcdef
SOKETI_ADAPTER_DRIVER=redis
SOKETI_DB_REDIS_SENTINELS='[{"host":"10.0.0.1","port":26379}]'
"""
OWN_HEADERS = {"X-Mine": "1", "Accept": "text/plain", "User-Agent": "mine"}


def test_its_commands_write_a_configuration(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(ENV)
    (tmp_path / "soketi.json").write_text(json.dumps({"port": 7002}))
    of_file, of_variables = snippets("migrating-from-soketi.md", "console")
    assert "SOKETI_DB_REDIS_SENTINELS='[{" in (ROOT / "docs" / "migrating-from-soketi.md").read_text()
    assert _run(of_file, tmp_path).splitlines() == [line for line in of_file.splitlines() if not line.startswith("$")]
    assert load(tmp_path / "config.json", {}, 1).config.port == 7002
    assert _run(of_variables, tmp_path) == ""
    found = load(tmp_path / "config.json", {}, 1)
    assert found.config.port == 7001
    assert found.resolved.redis is not None
    assert found.resolved.redis.sentinels == (Node("10.0.0.1", 26379),)


def _run(block: str, folder: Path) -> str:
    """What the commands of a block of the page print."""
    commands = [line.removeprefix("$ ") for line in block.splitlines() if line.startswith("$ ")]
    script = "\n".join(commands).replace("python -m engine", f"{sys.executable} -m engine")
    command = ["sh", "-ec", script]
    return subprocess.run(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True, timeout=60, check=True
    ).stdout


def test_webhooks_come_as_soketi_sends_them(receiver: WebhookReceiver, aws: MotoAws) -> None:
    function = f"f-{uuid4().hex[:8]}"
    aws.add_function(function)
    of_function = {"async": False, "region": REGION, "client_options": {"endpoint": aws.url}}
    webhooks = [
        {"url": f"{receiver.url}/all", "event_types": KINDS, "headers": OWN_HEADERS},
        {
            "url": f"{receiver.url}/filtered",
            "event_types": ["channel_occupied", "member_added"],
            "filter": {"channel_name_starts_with": "presence-", "channel_name_ends_with": "-x"},
        },
        {"lambda_function": function, "lambda": of_function, "event_types": ["channel_occupied"]},
    ]
    app = {"id": "app-7", "key": KEY, "secret": SECRET, "enableClientMessages": True, "webhooks": webhooks}
    config, notes = convert({"appManager.array.apps": [app]}, {})
    assert notes == []
    del config["metrics"]
    config["webhooks"]["settle_ms"] = 0  # As the page says of soketi's at-once.
    with running(config, 2, env=CREDENTIALS) as engine:
        socket_id = asyncio.run(_visit(engine))
        for channel, events in THERE.items():
            wait_until(
                lambda channel=channel, events=events: len(receiver.events("/all", channel)) == len(events),
                what=lambda: str(receiver.events("/all")),
            )
            _compare(receiver.events("/all", channel), events, socket_id)
        wait_until(lambda: len(receiver.to("/filtered")) == 2)
        _compare(receiver.events("/filtered"), THERE[ROOM][:2], socket_id)
        wait_until(lambda: len(aws.sent_to(function)) == len(THERE))
    for request in receiver.to("/all"):
        _is_its_request(request)
        assert {name: request.headers[name.lower()] for name in OWN_HEADERS} == OWN_HEADERS
    for request in receiver.to("/filtered"):
        _is_its_request(request)
        assert request.headers["accept"] == "application/json"
    for told in aws.sent_to(function):
        (event,) = told["payload"]["events"]
        assert THERE[event["channel"]][0].items() <= event.items()
        assert isinstance(told["payload"]["time_ms"], int)
        headers = told["headers"]
        assert (headers["Content-Type"], headers["X-Pusher-Key"]) == ("application/json", KEY)
        assert headers["X-Pusher-Signature"] == sign(SECRET, told["body"])


async def _visit(engine: Engine) -> str:
    async with connected(engine.ws_url, KEY, SECRET) as client:
        await client.subscribe(ROOM, user_id="u1")
        await client.send("client-t", {"on": True}, ROOM)
        await client.subscribe(TALK)
        await client.send("client-t", "text", TALK)
        await client.subscribe(KEPT)
        await client.settle()
        return client.socket_id


def _compare(ours: list[dict[str, Any]], theirs: list[dict[str, Any]], socket_id: str) -> None:
    """Every member that soketi sends, in its order; a client's data is always text here."""
    by_place = zip(sorted(ours, key=_place), theirs, strict=True)
    for here, there in by_place:
        wanted = dict(there)
        if there["name"] == "client_event":
            wanted["socket_id"] = socket_id
            data = there["data"]
            wanted["data"] = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
        assert wanted.items() <= here.items()


def _place(event: dict[str, Any]) -> int:
    """Those that are counted keep their order; what a client says comes between."""
    order = ["channel_occupied", "member_added", "cache_miss", "client_event", "member_removed", "channel_vacated"]
    return order.index(event["name"])


def _is_its_request(request: Received) -> None:
    assert len(request.events) == 1
    assert isinstance(request.json["time_ms"], int)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-pusher-key"] == KEY
    assert request.signed_with(SECRET, prefix="")
