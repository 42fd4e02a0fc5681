"""The scenes of a full node, with ten thousand clients of the load client: all at once they come, or it stops.

They speak the protocol as a library does, but try once: what is counted is how long one attempt takes.
"""

from __future__ import annotations

import contextlib
import signal
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.load.load_client import ClientFailed, connected
from tests.support.engine import APP, Engine, is_ready, launch, running
from tests.support.receiver import WebhookReceiver
from tests.support.valkey import ValkeyServer
from tests.support.waiting import wait_until

CHANNELS = 100
GRACE_S = 10


def all_at_once(clients: int, workers: int) -> str:
    """Everybody dials in the same moment, as after a node was lost.

    pusher-js in a browser gives an attempt up that is not greeted within a second, and dials again.
    """
    with ExitStack() as stack:
        engine = stack.enter_context(running(_config(), workers, noise=None))
        client = stack.enter_context(connected(None, _dial(engine, clients)))
        try:
            told = client.wait_for("ready")
        except ClientFailed as failed:
            return f"not everybody came: {failed}"
        return f"{told['conns']} clients: greeted {_taken(told['greeted'])}; subscribed {_taken(told['connect'])}"


def _taken(times: dict[str, float]) -> str:
    """How long after they dialled."""
    median_s, most_s, worst_s = (times[name] / 1e6 for name in ("p50_us", "p99_us", "max_us"))
    return f"after {median_s:.2f} s in the median, 99 of 100 within {most_s:.2f} s, worst {worst_s:.2f} s"


def stop_with_everything_hung(clients: int, workers: int) -> str:
    """SIGTERM while all clients stand, the endpoint of webhooks takes them and never answers, and Redis hangs.

    What was due to the endpoint must reach it once the node was started again.
    """
    with ExitStack() as stack:
        receiver = stack.enter_context(WebhookReceiver())
        receiver.answer(path="/hook", always="hang")
        server = stack.enter_context(ValkeyServer())
        hook = {"url": f"{receiver.url}/hook", "event_types": ["channel_occupied"]}
        config = _config(hook) | {
            "database": {"redis": {"url": server.url}},
            "shutdown_grace_period": GRACE_S,
        }
        engine = stack.enter_context(running(config, workers, noise=None))
        client = stack.enter_context(connected(None, _dial(engine, clients)))
        client.wait_for("ready")
        wait_until(lambda: len(receiver.to("/hook")) > 0, 30)
        server.pause()
        began = time.monotonic()
        engine.process.send_signal(signal.SIGTERM)
        status = engine.process.wait(GRACE_S * 3)
        took = time.monotonic() - began
        server.resume()
        receiver.answer(path="/hook", always=200)
        engine.process = launch(engine.folder, workers)
        wait_until(lambda: is_ready(engine), 60)
        with contextlib.suppress(AssertionError):
            wait_until(lambda: len(_delivered(receiver)) == CHANNELS, 60)
        return (
            f"{clients} clients: ended with {status} after {took:.1f} s of {GRACE_S};"
            f" of {CHANNELS} webhook events {len(_delivered(receiver))} delivered after the next start"
        )


def _delivered(receiver: WebhookReceiver) -> set[str]:
    return {event["channel"] for received in receiver.to("/hook") if received.accepted for event in received.events}


def _dial(engine: Engine, clients: int) -> dict[str, Any]:
    return {"port": engine.port, "conns": clients, "channels": CHANNELS, "window": clients}


def _config(*hooks: dict[str, Any]) -> dict[str, Any]:
    return {"app_manager": {"array": {"apps": [APP | {"webhooks": list(hooks)}]}}}
