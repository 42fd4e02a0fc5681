"""The scenes of a planned stop, each with real clients: what happens, and what is counted."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from tests.stops.balancers import balancer, settle
from tests.stops.crowd import CERTIFICATE, Caller, Crowd, Publisher, Repeated, Seen, rooms
from tests.support.engine import APP, Engine, is_ready, launch, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

KEY, SECRET = APP["key"], APP["secret"]
#: What a stop must not tell: everybody is back within the settling time.
FALSE = ("channel_vacated", "member_removed", "channel_occupied", "member_added")
#: What the vendor documents; transitions that are taken back within it are never told.
SETTLE_MS = 3000
#: pusher-js tries again after 15 s at the latest, and that may fail once more.
BACK_S = 40.0
PUBLISHES_PER_S, CALLS_PER_S = 50.0, 200.0
#: Each of these costs a handshake, most of it the client's.
TLS_CALLS_PER_S = 20.0
#: A reconnect costs Node some 5 ms of processor, and the clients have no other processors than the server: at the pace
#: that is the default, and at times at 100 already, they would wait for each other, and say nothing of the server.
PACE_PER_S = 50


def stop_and_start(clients: int, workers: int, library: str = "pusher-js", *, tls: bool = False) -> str:
    """One node: SIGTERM, and as soon as it has ended another start."""

    def scene(engine: Engine) -> None:
        engine.process.send_signal(signal.SIGTERM)
        engine.process.wait(40)
        engine.process = launch(engine.folder, workers)
        wait_until(lambda: is_ready(engine), 60)

    return _one_node(clients, workers, library, scene, calls=False, tls=tls)


def restart(clients: int, workers: int, library: str = "pusher-js", *, tls: bool = False) -> str:
    """One node: `python -m engine restart`."""

    def scene(engine: Engine) -> None:
        _restart(engine)

    return _one_node(clients, workers, library, scene, calls=True, tls=tls)


def rolling(kind: str, clients: int, workers: int, runs: int) -> str:
    """Two nodes behind a balancer: one after the other is stopped and started again."""
    with ExitStack() as stack:
        receiver = stack.enter_context(WebhookReceiver())
        server = stack.enter_context(ValkeyServer())
        config = {
            **_config(receiver),
            "database": {"redis": {"url": server.url}},
            "shutdown": {"delay_ms": 5000, "pace_per_second": PACE_PER_S},
        }
        config["shutdown_grace_period"] = 20
        nodes = [stack.enter_context(running(config, workers, noise=None)) for _ in range(2)]
        port = stack.enter_context(balancer(kind, [node.port for node in nodes]))
        settle()
        crowd = Crowd(clients, port, KEY, SECRET)
        wait_until(lambda: _told(receiver) >= clients + len(rooms(clients)), 30)
        before = _told(receiver)
        publisher = Publisher(rooms(clients), port, KEY, SECRET)
        with Repeated(PUBLISHES_PER_S, publisher):
            for _ in range(runs):
                for node in nodes:
                    node.process.send_signal(signal.SIGTERM)
                    assert node.process.wait(60) == 0, node.log()
                    node.process = launch(node.folder, workers)
                    wait_until(lambda node=node: is_ready(node), 60)  # type: ignore[misc]
                    settle()
            _wait_for_all(crowd)
        time.sleep(SETTLE_MS / 1000 + 1)
        return _report(crowd, publisher, receiver, before)


def _one_node(
    clients: int, workers: int, library: str, scene: Callable[[Engine], None], *, calls: bool, tls: bool
) -> str:
    with ExitStack() as stack:
        receiver = stack.enter_context(WebhookReceiver())
        config = _config(receiver)
        if tls:
            config["ssl"] = {"enabled": True, "cert_path": str(CERTIFICATE), "key_path": str(CERTIFICATE)}
        cafile = CERTIFICATE if tls else None
        engine = stack.enter_context(running(config, workers, noise=None, cafile=cafile))
        crowd = Crowd(clients, engine.port, KEY, SECRET, library, cafile)
        # Everybody's coming is told, and that of the channels.
        wait_until(lambda: _told(receiver) >= clients + len(rooms(clients)), 30)
        before = _told(receiver)
        publisher, caller = Publisher(rooms(clients), engine.port, KEY, SECRET, cafile), Caller(engine.port, cafile)
        with ExitStack() as traffic:
            if calls:
                traffic.enter_context(Repeated(PUBLISHES_PER_S, publisher))
                traffic.enter_context(Repeated(TLS_CALLS_PER_S if tls else CALLS_PER_S, caller))
            scene(engine)
            _wait_for_all(crowd)
        time.sleep(SETTLE_MS / 1000 + 1)
        text = _report(crowd, publisher, receiver, before)
        return f"{text}; connects {caller.answered} answered, {len(caller.refused)} not {caller.refused[:2]}"


def _report(crowd: Crowd, publisher: Publisher, receiver: WebhookReceiver, before: int) -> str:
    # Before they leave, which is told and true.
    told = _told(receiver) - before
    seen = Seen.of(crowd.leave(), publisher.published)
    return (
        f"{seen}; publishes {len(publisher.published)}, refused {len(publisher.refused)} {publisher.refused[:2]};"
        f" false webhooks {told}"
    )


def _wait_for_all(crowd: Crowd) -> None:
    """Until everybody is back, and a little longer; whoever is not back then has been forgotten."""
    with contextlib.suppress(AssertionError):
        wait_until(lambda: crowd.out() == 0, BACK_S)
    time.sleep(1.0)


def _told(receiver: WebhookReceiver) -> int:
    return sum(name in FALSE for name in receiver.names("/hook"))


def _config(receiver: WebhookReceiver) -> dict[str, Any]:
    hook = {"url": f"{receiver.url}/hook", "event_types": list(FALSE)}
    app = APP | {"webhooks": [hook]}
    return {
        "app_manager": {"array": {"apps": [app]}},
        "webhooks": {"settle_ms": SETTLE_MS},
        "shutdown": {"delay_ms": None, "pace_per_second": PACE_PER_S},
    }


def _restart(engine: Engine) -> None:
    done = engine.command("restart", timeout_s=300)
    assert done.returncode == 0, done.stdout + done.stderr
