"""The board and the alerts, asked of a real Prometheus that scrapes a running engine: every query returns a series."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import yaml

from engine.metrics.metrics import Metrics
from tests.support.client import connected
from tests.support.engine import APP, ROOT, Engine, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import free_port, wait_until

BOARD = json.loads((ROOT / "deploy" / "grafana" / "engine.json").read_text())
ALERTS = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()
#: What a query may ask for although an engine without trouble has no series of it (see integration/test_metrics.py).
ONLY_IN_TROUBLE = {"connection_errors_total", "http_errors_total"}

needs_prometheus = pytest.mark.skipif(shutil.which("prometheus") is None, reason="Prometheus is not installed")


def queries() -> list[tuple[str, str]]:
    """(panel's title, expression with the board's variables filled in)."""
    found = []
    for panel in BOARD["panels"]:
        for target in panel.get("targets", ()):
            text = (
                target["expr"]
                .replace("$__rate_interval", "1m")
                .replace('"$instance"', '".*"')
                .replace('"$app"', '".*"')
            )
            assert "$" not in text, f"a variable that the board does not have: {text}"
            found.append((panel["title"], text))
    return found


def expressions() -> list[str]:
    """Of the alerts."""
    return [rule["expr"] for group in yaml.safe_load(ALERTS)["groups"] for rule in group["rules"]]


def test_both_ask_only_for_what_is_declared() -> None:
    declared = set()
    for family in Metrics().families:
        declared |= {family.name} if family.kind != "histogram" else {family.bucket, family.sum, f"{family.name}_count"}
    asked = re.findall(r"\bsockudo_(\w+)", json.dumps(BOARD) + ALERTS)
    assert len(set(asked)) > 35
    assert set(asked) <= declared


def test_every_alert_says_what_to_do() -> None:
    assert ALERTS.count("- alert: ") == ALERTS.count("summary: ") == ALERTS.count("remedy: ") == len(expressions())


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one that has scraped an engine with traffic a few times."""
    folder = tmp_path_factory.mktemp("prometheus")
    with ExitStack() as stack:
        receiver = stack.enter_context(WebhookReceiver())
        hooks = [{"url": f"{receiver.url}/watching", "event_types": ["channel_occupied"]}]
        engine = stack.enter_context(running({"app_manager": {"array": {"apps": [APP | {"webhooks": hooks}]}}}, 2))
        asyncio.run(talk(engine))
        target = f"127.0.0.1:{engine.metrics_port}"
        (folder / "alerts.yml").write_text(ALERTS)
        (folder / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"
            "rule_files: [alerts.yml]\n"
            f"scrape_configs: [{{job_name: engine, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        port = free_port()
        server = subprocess.Popen(
            [
                "prometheus",
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=stack.enter_context((folder / "log").open("w")),
        )
        stack.callback(lambda: (server.kill(), server.wait()))
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: scrapes(url) >= 3, what=(folder / "log").read_text)
        yield url


async def talk(engine: Engine) -> None:
    async with connected(engine.ws_url) as client:
        await client.subscribe("room")
        await asyncio.to_thread(engine.trigger, ["room"], "hello")
        await client.next("hello")


def ask(url: str, query: str) -> list[Any]:
    with urllib.request.urlopen(f"{url}/api/v1/query?query={urllib.parse.quote(query)}", timeout=20) as response:
        return list(json.load(response)["data"]["result"])


def scrapes(url: str) -> float:
    try:
        found = ask(url, 'count_over_time(up{job="engine"}[5m])')
    except OSError:
        return 0
    return float(found[0]["value"][1]) if found else 0


@needs_prometheus
def test_every_panel_has_a_series(prometheus: str) -> None:
    empty = [
        (title, query)
        for title, query in queries()
        if not ONLY_IN_TROUBLE & set(re.findall(r"sockudo_(\w+)", query)) and not ask(prometheus, query)
    ]
    assert not empty, empty


@needs_prometheus
def test_every_alert_can_be_evaluated_and_none_fires(prometheus: str) -> None:
    assert (
        subprocess.run(["promtool", "check", "rules", ROOT / "deploy/prometheus/alerts.yml"], check=False).returncode
        == 0
    )
    for expression in expressions():
        ask(prometheus, expression)
        for name in set(re.findall(r"sockudo_\w+", expression)) - {f"sockudo_{name}" for name in ONLY_IN_TROUBLE}:
            assert ask(prometheus, name), f"{expression}: nobody has {name}"
    assert ask(prometheus, 'ALERTS{alertstate="firing"}') == []
