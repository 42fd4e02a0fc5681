"""`python -m engine webhooks` beside a running engine: on its private Valkey, and where the queue is in its memory."""

from __future__ import annotations

import re
import subprocess

from tests.support.engine import APP, PYTHON, Engine, environment, running
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import wait_until


def config(receiver: WebhookReceiver) -> dict[str, object]:
    hook = {"url": f"{receiver.url}/hook", "event_types": ["cache_miss"], "retry": {"enabled": False}}
    return {"app_manager": {"array": {"apps": [APP | {"webhooks": [hook]}]}}}


def occupy(engine: Engine, channel: str) -> None:
    """Cause a cache_miss, which needs nobody to stay."""
    subscriber = subprocess.Popen(
        [PYTHON, "-m", "engine", "listen", channel], cwd=engine.folder, env=environment(), stderr=subprocess.PIPE
    )
    assert subscriber.stderr is not None
    assert b"subscribed" in subscriber.stderr.readline()
    subscriber.kill()
    subscriber.communicate()


def test_a_dead_letter_is_seen_and_sent_again(receiver: WebhookReceiver) -> None:
    with running(config(receiver), workers=2) as engine:
        receiver.answer(500, path="/hook")
        occupy(engine, "cache-room")
        listed = wait_until(lambda: re.match("([0-9a-f]{32})  app 1", engine.command("webhooks", "failed").stdout))
        shown = engine.command("webhooks", "failed").stdout.splitlines()
        assert shown[0] == f"{listed[1]}  app 1  {receiver.url}/hook"
        assert shown[1] == "    cache_miss: cache-room"
        assert shown[2].endswith(" status 500")

        again = engine.command("webhooks", "retry", listed[1])
        assert (again.returncode, again.stdout) == (0, "1 sent again\n")
        wait_until(lambda: receiver.names("/hook") == ["cache_miss"])
        first, second = receiver.to("/hook")
        assert first.body == second.body
        assert {r.headers["x-webhook-id"] for r in (first, second)} == {listed[1]}
        assert engine.command("webhooks", "failed").stdout == "0 of 0 dead letters\n"
        tried = engine.command("webhooks", "test")
        assert (tried.returncode, tried.stdout.split()[-2:]) == (0, ["status", "200"])


def test_a_queue_in_memory_says_so(receiver: WebhookReceiver) -> None:
    with running(config(receiver)) as engine:
        refused = engine.command("webhooks", "failed")
        assert refused.returncode == 2
        assert "one worker and no Redis is in that process, where no other can look" in refused.stderr
