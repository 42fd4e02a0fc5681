"""Logging set-up of a process: one handler on stderr, as lines for people or one JSON object a line.

To be called once in a process; every other module only uses `logging.getLogger(__name__)`. What is logged never holds a
secret or a payload: that is the caller's duty, and no code here looks into messages.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO

from engine.config.server import LoggingConfig
from engine.log.escapes import harmless_lines

#: Everybody else's loggers speak from here on; ours from INFO, or DEBUG.
OTHERS_LEVEL = logging.WARNING
#: Loggers whose warnings only repeat what the engine logs itself, or what any client can cause.
QUIET = ("aiohttp.access", "aiohttp.server", "picows")

_COLORS = {"DEBUG": "\x1b[2m", "INFO": "\x1b[32m", "WARNING": "\x1b[33m", "ERROR": "\x1b[31m", "CRITICAL": "\x1b[1;31m"}
_RESET = "\x1b[0m"


class Seldom:
    """Whether a line may be logged that could otherwise come as often as somebody likes.

    :param every_s: it may once in so long.
    """

    def __init__(self, every_s: float = 60.0) -> None:
        self._every_s = every_s
        self._due_at = 0.0

    def due(self) -> bool:
        """True when it may be now; then not again for a while."""
        now = time.monotonic()
        if now < self._due_at:
            return False
        self._due_at = now + self._every_s
        return True


def set_up_logging(
    config: LoggingConfig, *, debug: bool, slot: int | str | None = None, stream: TextIO | None = None
) -> None:
    """Replace whatever handlers the root logger has.

    :param slot: the worker's, put on every record; another process' name; None in the supervisor.
    :param stream: instead of stderr.
    """
    stream = sys.stderr if stream is None else stream
    worker = "supervisor" if slot is None else slot if isinstance(slot, str) else f"worker {slot}"
    handler = logging.StreamHandler(stream)
    formatter: logging.Formatter
    if config.output_format == "json":
        formatter = JsonFormatter(worker, target=config.include_target)
    else:
        formatter = TextFormatter(
            worker, target=config.include_target, colors=config.colors_enabled and stream.isatty()
        )
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(OTHERS_LEVEL)
    logging.getLogger("engine").setLevel(logging.DEBUG if debug else logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(True)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO     worker 0 engine.ws.handlers: text`; a traceback follows on its own lines."""

    def __init__(self, worker: str, *, target: bool, colors: bool) -> None:
        super().__init__()
        self._worker = worker
        self._target = target
        self._colors = colors

    def format(self, record: logging.LogRecord) -> str:
        level = f"{record.levelname:<8}"
        if self._colors:
            level = f"{_COLORS.get(record.levelname, '')}{level}{_RESET}"
        target = f" {record.name}" if self._target else ""
        line = f"{_time(record)} {level} {self._worker}{target}: {_one_line(record.getMessage())}"
        trace = _trace(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One object a line: `time`, `level`, `worker`, `target`, `message`, and `exception` where there is one."""

    def __init__(self, worker: str, *, target: bool) -> None:
        super().__init__()
        self._worker = worker
        self._target = target

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {"time": _time(record), "level": record.levelname, "worker": self._worker}
        if self._target:
            fields["target"] = record.name
        fields["message"] = record.getMessage()
        trace = _trace(self, record)
        if trace:
            fields["exception"] = trace
        # Lone surrogates, which a client can send, must not stop a line from being written.
        return json.dumps(fields)


def _one_line(message: str) -> str:
    """Nothing inside a message passes for a line of ours; tabs do no harm."""
    return harmless_lines(message).replace("\n", r"\n")


def _time(record: logging.LogRecord) -> str:
    """UTC with milliseconds, RFC 3339."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _trace(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    # An error may repeat what somebody sent.
    return harmless_lines("\n".join(parts))
