"""What the operator reads once the engine serves: where it listens, and what to try next.

For people only: no program may rely on its form.
"""

from __future__ import annotations

import logging
import resource
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.app import App
from engine.cli.target import describe
from engine.config.addresses import console_url, metrics_url
from engine.config.resolve import redis_options
from engine.config.root import Config
from engine.supervisor.sockets import Ports

_HINTS = """try next, in another terminal:
  {0} apps
  {0} listen test-channel
  {0} trigger test-channel test-event '{{"message":"test"}}'
"""

_log = logging.getLogger(__name__)


def show(
    config: Config,
    apps: Sequence[App],
    ports: Ports,
    workers: int,
    console: int,
    options: Sequence[str],
) -> None:
    """For people, with three commands that show it working; where the log is JSON, as lines of the log.

    :param console: its port; 0 where there is none.
    :param options: what a command must be told to find this server.
    """
    lines = _lines(config, apps, ports, workers, resource.getrlimit(resource.RLIMIT_NOFILE)[0], console)
    if config.logging.output_format == "json":
        for line in lines:
            _log.info("%s", line)
    else:
        told = "".join(f"{line}\n" for line in lines)
        sys.stdout.write(told + hints(Path(sys.executable), Path.cwd(), options))
        sys.stdout.flush()


def hints(python: Path, folder: Path, options: Sequence[str]) -> str:
    """Commands that work as they stand in `folder`, in a shell that knows of no virtual environment."""
    found = shutil.which("python")
    if found and Path(found) == python:
        program = "python"
    else:
        program = str(python.relative_to(folder) if python.is_relative_to(folder) else python)
    return _HINTS.format(shlex.join([program, "-m", "engine", *options]))


def _lines(config: Config, apps: Sequence[App], ports: Ports, workers: int, files: int, console: int) -> Iterator[str]:
    yield f"engine listens on {ports.where} with {workers} worker{'s' if workers != 1 else ''}"
    if ports.api_where:
        yield f"the HTTP API is at {' and '.join(ports.api_where)} only"
    yield f"each worker may have {files} files open, one for each connection"
    redis = redis_options(config.database.redis)
    if redis is not None and redis.nodes and config.queue.driver in (None, "redis"):
        prefix = redis.beside_occupancy(config.queue.redis.prefix)
        yield f"webhook queue in the lists {prefix}default and {prefix}failed, on the shard of occupancy"
    if config.metrics.enabled:
        yield f"metrics on {metrics_url(config)}"
    if console:
        yield f"console on {console_url(config, console)}"
    for app in apps:
        for endpoint in app.endpoints:
            form = "sha256=<hex>" if endpoint.signature_format == "prefixed" else "<hex>, as official SDKs verify it"
            yield f"webhook {endpoint.id} of app {app.id} to {describe(endpoint)} sends X-Pusher-Signature: {form}"
