"""What the README shows first: listen in one terminal, trigger in another, and a signed webhook at the back end."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.support.engine import APP, PYTHON, Engine, environment
from tests.support.receiver import WebhookReceiver
from tests.support.waiting import PATIENCE_S, free_port, wait_until


@pytest.fixture
def command(engine: Engine) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts ``python -m engine …`` beside the engine's own config.json."""
    with ExitStack() as stack:

        def start(*args: str) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [PYTHON, "-m", "engine", *args],
                cwd=engine.folder,
                env=environment(),
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            stack.callback(lambda: (process.kill(), process.communicate()))
            return process

        yield start


def test_listen_trigger_and_a_signed_webhook(
    command: Callable[..., subprocess.Popen[str]], hooks: WebhookReceiver, unique: Callable[[str], str]
) -> None:
    channels = [unique("news"), unique("private-news"), unique("presence-news")]
    listener = command("listen", *channels, "--user-id", "ada")
    assert listener.stderr is not None
    assert listener.stdout is not None
    told = [listener.stderr.readline() for _ in channels]
    assert sorted(told) == sorted(f"subscribed to {channel}\n" for channel in channels)

    for channel in channels:
        data = r'{"text": "Zoë\n"}'
        sent = command("trigger", channel, "greeting", data)
        assert sent.communicate(timeout=PATIENCE_S) == (f"sent greeting to {channel}\n", "")
        assert sent.returncode == 0
        line = listener.stdout.readline()
        assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  " + re.escape(f"{channel}  greeting  {data}\n"), line), line

    for channel in channels:
        wait_until(lambda channel=channel: "channel_occupied" in hooks.names("/hook", channel))
    assert [event["user_id"] for event in hooks.events("/hook", channels[2]) if "user_id" in event] == ["ada"]
    mine = [request for request in hooks.to("/hook") if request.events[0]["channel"] in channels]
    assert all(request.signed_with(APP["secret"]) for request in mine)
    assert {request.headers["x-pusher-key"] for request in mine} == {APP["key"]}

    listener.send_signal(signal.SIGINT)
    assert listener.wait(PATIENCE_S) == 0
    assert "Traceback" not in listener.stderr.read()
    for channel in channels:
        wait_until(lambda channel=channel: "channel_vacated" in hooks.names("/hook", channel))


def test_apps(command: Callable[..., subprocess.Popen[str]]) -> None:
    out, err = command("apps").communicate(timeout=PATIENCE_S)
    assert (APP["key"] in out, APP["secret"] in out, err) == (True, False, "")


def test_wrong_app_and_unreachable_server(command: Callable[..., subprocess.Popen[str]]) -> None:
    wrong = command("trigger", "a", "b", "c", "--app", "nobody")
    assert "--app: nobody is not an application; there are 1, 2" in wrong.communicate(timeout=PATIENCE_S)[1]
    assert wrong.returncode == 2
    alone = command("trigger", "a", "b", "c", "--url", f"http://127.0.0.1:{free_port()}")
    assert "is the server running?" in alone.communicate(timeout=PATIENCE_S)[1]
    assert alone.returncode == 1


def test_listener_is_told_what_it_may_not_hear(command: Callable[..., subprocess.Popen[str]]) -> None:
    listener = command("listen", "not a channel name")
    out, err = listener.communicate(timeout=PATIENCE_S)
    assert (out, listener.returncode) == ("", 1)
    assert "not allowed to subscribe to not a channel name" in err
