"""What the operator reads once the engine serves: where it listens, and what to try next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from engine.app import App
from engine.cli.target import describe
from engine.config.addresses import metrics_url
from engine.config.resolve import redis_options
from engine.config.root import Config


def show(config: Config, apps: Sequence[App], where: str, workers: int, files: int, out: TextIO) -> None:
    """Three commands that show it working, ready to be pasted."""
    out.write(f"engine listens on {where} with {workers} worker{'s' if workers != 1 else ''}\n")
    out.write(f"each worker may have {files} files open, one for each connection\n")
    redis = redis_options(config.database.redis)
    if redis is not None and redis.nodes and config.queue.driver in (None, "redis"):
        prefix = redis.beside_occupancy(config.queue.redis.prefix)
        out.write(f"webhook queue in the lists {prefix}default and {prefix}failed, on the shard of occupancy\n")
    if config.metrics.enabled:
        out.write(f"metrics on {metrics_url(config)}\n")
    for app in apps:
        for endpoint in app.endpoints:
            form = "sha256=<hex>" if endpoint.signature_format == "prefixed" else "<hex>, as official SDKs verify it"
            out.write(f"webhook of app {app.id} to {describe(endpoint)} sends X-Pusher-Signature: {form}\n")
    out.write(
        "try next, in another terminal:\n"
        "  python -m engine apps\n"
        "  python -m engine listen test-channel\n"
        '  python -m engine trigger test-channel test-event \'{"message":"test"}\'\n'
    )
    out.flush()
