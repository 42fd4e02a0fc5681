"""`python -m engine webhooks`: what an operator sees and does with dead letters, and how webhooks are tried out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from redis.asyncio import Redis

from engine.__main__ import main
from engine.apps.build import build_apps
from engine.config.backends import QueueSqs
from engine.config.loading.load import load
from engine.interfaces import Job
from engine.webhooks.queues.redis import RedisQueue
from engine.webhooks.queues.sqs import dead_letters
from engine.webhooks.queues.sqs.queue import SqsQueue
from tests.support.aws import REGION, MotoAws, use_credentials
from tests.support.receiver import WebhookReceiver
from tests.support.signing import sign

SECRET = "operators-never-see-this"
URL = "http://user:password@127.0.0.1:9/hook?token=t0ken"
APP: dict[str, Any] = {
    "id": "1",
    "key": "app-key",
    "secret": SECRET,
    "webhooks": [{"url": URL, "event_types": ["member_added"], "headers": {"X-Token": "h3ader"}}],
}


class Shell:
    """A folder with a config.json, and the command run in it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder = folder
        self._capsys = capsys

    def configure(self, config: dict[str, Any]) -> None:
        apps = {"app_manager": {"array": {"apps": [APP]}}}
        (self._folder / "config.json").write_text(json.dumps(apps | config))

    def __call__(self, *args: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of ``webhooks`` with these arguments."""
        status = main(["webhooks", *args])
        shown = self._capsys.readouterr()
        for secret in (SECRET, "user", "password", "t0ken", "h3ader"):
            assert secret not in shown.out + shown.err
        return status, shown.out, shown.err


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    monkeypatch.chdir(tmp_path)
    for name in ("REDIS_URL", "QUEUE_DRIVER"):
        monkeypatch.delenv(name, raising=False)
    return Shell(tmp_path, capsys)


def endpoint_id() -> str:
    return build_apps(load(Path("config.json"), {}, 1).config)[0].endpoints[0].id


def dead(job_id: str, endpoint_id: str, *channels: str) -> Job:
    events = [{"name": "member_added", "channel": channel} for channel in channels]
    body = json.dumps({"time_ms": 1, "events": events})
    errors = ["2026-01-02T03:04:05.678+00:00 status 500", "2026-01-02T03:04:06.789+00:00 no answer within 10 s"]
    return Job(job_id, "1", endpoint_id, body, channels, 1, 2, errors)


def work(url: str, prefix: str, use: Callable[[RedisQueue], Any]) -> Any:
    """Use the queue as the engine does."""

    async def run() -> Any:
        client = Redis.from_url(url)
        try:
            return await use(RedisQueue(client, prefix, "worker"))
        finally:
            await client.aclose()

    return asyncio.run(run())


@pytest.fixture
def queue(shell: Shell, redis_url: str) -> Callable[[Callable[[RedisQueue], Any]], Any]:
    """The queue in Redis that the commands are configured for."""
    prefix = f"{uuid4().hex}:"
    shell.configure({"database": {"redis": {"url": redis_url}}, "queue": {"redis": {"prefix": prefix}}})
    return lambda use: work(redis_url, prefix, use)


def bury(*jobs: Job, garbage: tuple[bytes, ...] = ()) -> Callable[[RedisQueue], Any]:
    async def use(queue: RedisQueue) -> None:
        await queue.attach()
        await queue.put(jobs)
        for entry in garbage:
            await queue._client.rpush(queue.default_list, entry)
        for got, job in zip((await queue.reserve(100)).jobs, jobs, strict=True):
            got.attempt, got.errors = job.attempt, job.errors
            await queue.bury(got)

    return use


def test_dead_letters_are_listed_with_their_history(
    shell: Shell, queue: Callable[[Callable[[RedisQueue], Any]], Any]
) -> None:
    assert shell("failed") == (0, "0 of 0 dead letters\n", "")
    known = endpoint_id()
    queue(bury(dead("a", known, "room"), dead("b", "gone", "one", "two\x1b[2J", "three", "four"), garbage=(b"junk",)))
    status, out, err = shell("failed")
    assert (status, err) == (0, "1 further entries are no jobs; `webhooks purge` forgets them with the others\n")
    assert out.splitlines() == [
        "b  app 1  endpoint gone, not configured any more",
        "    4 × member_added: one, two\\x1b[2J, three and 1 more",
        "    2026-01-02T03:04:05.678+00:00 status 500",
        "    2026-01-02T03:04:06.789+00:00 no answer within 10 s",
        "a  app 1  http://127.0.0.1:9/hook",
        "    member_added: room",
        "    2026-01-02T03:04:05.678+00:00 status 500",
        "    2026-01-02T03:04:06.789+00:00 no answer within 10 s",
        "2 of 3 dead letters",
        "send one again: python -m engine webhooks retry ID; all of them: --all",
    ]
    status, out, _ = shell("failed", "--limit", "1")
    assert out.splitlines()[-2] == "1 of 3 dead letters (--limit shows more)"


def test_dead_letters_for_scripts(shell: Shell, queue: Callable[[Callable[[RedisQueue], Any]], Any]) -> None:
    known = endpoint_id()
    queue(bury(dead("a", known, "room"), dead("b", "gone", "room")))
    status, out, err = shell("failed", "--json")
    b, a = map(json.loads, out.splitlines())
    assert (status, err) == (0, "")
    assert (a["id"], a["target"], a["attempts"], len(a["errors"])) == ("a", "http://127.0.0.1:9/hook", 2, 2)
    assert (b["id"], b["target"], b["endpoint_id"]) == ("b", None, "gone")
    assert json.loads(a["body"])["events"] == [{"name": "member_added", "channel": "room"}]


def test_dead_letters_are_sent_again_or_forgotten(
    shell: Shell, queue: Callable[[Callable[[RedisQueue], Any]], Any]
) -> None:
    queue(bury(*(dead(name, "e", "room") for name in "abcd")))
    assert shell("retry", "b", "zzz") == (
        1,
        "1 sent again\n",
        "zzz is not among the dead letters, and waits for no retry\n",
    )
    assert shell("retry", "a", "c") == (0, "2 sent again\n", "")
    assert shell("retry", "--all") == (0, "1 sent again\n", "")
    assert shell("retry", "--all") == (0, "0 sent again\n", "")

    async def waiting(queue: RedisQueue) -> list[tuple[str, int]]:
        await queue.attach()
        return [(job.id, job.attempt) for job in (await queue.reserve(10)).jobs]

    assert queue(waiting) == [("b", 0), ("a", 0), ("c", 0), ("d", 0)]
    queue(bury(dead("e", "e", "room")))
    assert shell("purge") == (0, "1 forgotten\n", "")
    assert shell("purge") == (0, "0 forgotten\n", "")


@pytest.mark.parametrize("args", [["retry"], ["retry", "a", "--all"], ["failed", "--limit", "0"], [], ["dance"]])
def test_misuse(shell: Shell, args: list[str]) -> None:
    shell.configure({})
    with pytest.raises(SystemExit) as ended:
        shell(*args)
    assert ended.value.code == 2


def test_the_same_in_sqs(shell: Shell, aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch.setenv)
    monkeypatch.setattr(dead_letters, "WAIT_S", 0)
    config = {
        "endpoint_url": aws.url,
        "region": REGION,
        "queue_url_prefix": f"{aws.url}/123456789012/q{uuid4().hex}-",
        "wait_time_seconds": 0,
    }
    shell.configure({"queue": {"driver": "sqs", "sqs": config}})
    jobs = [dead("a", endpoint_id(), "room"), dead("b", "gone", "room")]

    async def bury_all() -> None:
        queue = SqsQueue(QueueSqs(**config))
        await queue.start()
        await queue.attach()
        await queue.put(jobs)
        for job in (await queue.reserve(10)).jobs:
            await queue.bury(job)
        await queue.stop()

    asyncio.run(bury_all())
    status, out, _ = shell("failed")
    assert status == 0
    assert sorted(line[0] for line in out.splitlines() if not line.startswith(" "))[1:3] == ["a", "b"]
    assert shell("retry", "a") == (0, "1 sent again\n", "")
    assert shell("purge") == (0, "1 forgotten\n", "")


# --- which queue


def test_a_queue_in_memory_cannot_be_looked_into(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.configure({"queue": {"driver": "memory"}})
    assert main(["webhooks", "failed"]) == 2
    assert capsys.readouterr().err == (
        'engine: queue.driver: the queue of an engine with queue.driver "memory" is in that process, where no other '
        'can look; to operate on it, start with --workers 2 or more, or set queue.driver to "redis" or "sqs"\n'
    )


def test_no_engine_in_this_folder(shell: Shell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.configure({})
    assert main(["webhooks", "purge"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        f"engine: database.redis.embedded.data_dir: no engine has its Valkey in {Path.cwd() / 'data'} now; run this in "
        "the folder in which the engine was started, while it runs"
    )
    assert second.startswith("engine: the queue of an engine with one worker and no Redis is in that process")


def test_redis_out_of_reach(shell: Shell) -> None:
    shell.configure({"database": {"redis": {"url": "redis://someone:s3cret@127.0.0.1:9/3"}}})
    status, out, err = shell("failed")
    assert (status, out) == (1, "")
    assert err.startswith("cannot reach the webhook queue, redis://127.0.0.1:9/3: ")
    assert "s3cret" not in err
    assert err.endswith("; is the engine running?\n")


# --- trying out


def test_each_webhook_is_tried_out(
    shell: Shell, receiver: WebhookReceiver, aws: MotoAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_credentials(monkeypatch.setenv)
    function = f"tried-{uuid4().hex[:8]}"
    aws.add_function(function)
    where = {"region": REGION, "endpoint_url": aws.url, "function_name": function}
    events = {"event_types": ["member_added"]}
    webhooks = [
        {"url": f"{receiver.url}/good?token=t0ken"} | events,
        {"url": f"{receiver.url}/bad", "signature_format": "hex"} | events,
        {"lambda": where} | events,
    ]
    shell.configure(
        {"app_manager": {"array": {"apps": [{"id": "0", "key": "x", "secret": "y"}, APP | {"webhooks": webhooks}]}}}
    )
    receiver.answer(503, path="/bad")
    status, out, err = shell("test", "--app", "1")
    assert (status, err) == (1, "")
    good, bad, called = (line.split() for line in out.splitlines())
    assert (good[0], good[2:]) == (f"{receiver.url}/good", ["ms", "status", "200"])
    assert (bad[0], bad[2:]) == (f"{receiver.url}/bad", ["ms", "failed:", "status", "503"])
    assert (called[:3], called[4:]) == (["lambda", function, f"({REGION})"], ["ms", "invoked,", "status", "202"])
    for request, prefix in zip(receiver.requests, ("sha256=", ""), strict=True):
        assert request.signed_with(SECRET, prefix)
        assert [(e["name"], e["channel"]) for e in request.events] == [("test", "test")]
        assert (request.headers["x-webhook-attempt"], request.headers["x-pusher-key"]) == ("1", "app-key")
    (event,) = aws.sent_to(function)
    assert event["headers"]["X-Pusher-Signature"] == "sha256=" + sign(SECRET, event["body"])


def test_an_application_without_webhooks(shell: Shell) -> None:
    shell.configure({"app_manager": {"array": {"apps": [APP | {"webhooks": []}]}}})
    assert shell("test") == (1, "", "application 1 has no webhooks\n")
