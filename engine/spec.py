"""What the supervisor tells a worker when it starts it, and again when the configuration was read anew."""

from __future__ import annotations

from dataclasses import dataclass

from engine.adapter.log_files import LogFiles
from engine.config.load import Loaded
from engine.config.redis import RedisOptions


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """The same for every worker.

    :param redis: where the shared state is; None when no driver needs it.
    :param log: of the events between workers, where they are the whole cluster; None where events go through Redis.
    :param metrics_dir: where counters are kept in memory that all processes share.
    """

    loaded: Loaded
    redis: RedisOptions | None
    workers: int
    metrics_dir: str
    log: LogFiles | None = None
