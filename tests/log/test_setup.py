"""What a log line looks like, who may write one, and what a message cannot do to it."""

from __future__ import annotations

import io
import json
import logging
import re
import warnings
from collections.abc import Iterator

import pytest

from engine.config.server import LoggingConfig
from engine.log.setup import set_up_logging

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    levels = {name: logging.getLogger(name).level for name in ("engine", "aiohttp.access", "aiohttp.server", "picows")}
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def written(
    config: LoggingConfig, *, debug: bool = False, slot: int | None = None, stream: io.StringIO | None = None
) -> io.StringIO:
    stream = io.StringIO() if stream is None else stream
    set_up_logging(config, debug=debug, slot=slot, stream=stream)
    return stream


def test_text_lines() -> None:
    out = written(LoggingConfig(), slot=3)
    logging.getLogger("engine.ws.handlers").warning("app %s is %d", "a", 5)
    assert re.fullmatch(rf"{TIME} WARNING  worker 3 engine\.ws\.handlers: app a is 5\n", out.getvalue())


def test_text_lines_of_the_supervisor_without_target() -> None:
    out = written(LoggingConfig(include_target=False))
    logging.getLogger("engine.supervisor.supervisor").info("ready")
    assert re.fullmatch(rf"{TIME} INFO     supervisor: ready\n", out.getvalue())


@pytest.mark.parametrize(
    ("stream", "enabled", "colored"),
    [(Terminal(), True, True), (Terminal(), False, False), (io.StringIO(), True, False)],
)
def test_colors_are_for_terminals(stream: io.StringIO, enabled: bool, colored: bool) -> None:
    written(LoggingConfig(colors_enabled=enabled), stream=stream)
    logging.getLogger("engine").error("x")
    assert ("\x1b[31mERROR   \x1b[0m" in stream.getvalue()) == colored
    assert ("\x1b" in stream.getvalue()) == colored


def test_json_lines() -> None:
    out = written(LoggingConfig(output_format="json"), slot=0)
    log = logging.getLogger("engine.x")
    log.info("a\nb\ud800")
    try:
        raise ValueError("boom")
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, out.getvalue().splitlines())
    assert re.fullmatch(TIME, first.pop("time"))
    assert first == {"level": "INFO", "worker": "worker 0", "target": "engine.x", "message": "a\nb\ud800"}
    assert second["message"] == "failed"
    assert second["exception"].startswith("Traceback") and second["exception"].endswith("ValueError: boom")


def test_json_lines_without_target() -> None:
    out = written(LoggingConfig(output_format="json", include_target=False))
    logging.getLogger("engine.x").info("a")
    assert "target" not in json.loads(out.getvalue())


def test_a_message_cannot_pass_for_another_line_or_drive_the_terminal() -> None:
    out = written(LoggingConfig())
    logging.getLogger("engine").info("x\r\n2026-01-01 ERROR \x1b[31m\x9bhi\tthere é")
    assert out.getvalue().endswith(": x\\r\\n2026-01-01 ERROR \\x1b[31m\\x9bhi\tthere é\n")
    logging.getLogger("engine").info("app %s", "\u202elive\u2028")
    assert out.getvalue().endswith(": app \\u202elive\\u2028\n")


def test_neither_can_an_error_behind_it() -> None:
    out = written(LoggingConfig())
    try:
        raise ValueError("\x1b[31m\u202e")
    except ValueError:
        logging.getLogger("engine").exception("failed")
    assert out.getvalue().endswith("\nValueError: \\x1b[31m\\u202e\n")


def test_a_traceback_follows_the_line() -> None:
    out = written(LoggingConfig())
    try:
        raise ValueError("boom")
    except ValueError:
        logging.getLogger("engine").exception("failed")
    lines = out.getvalue().splitlines()
    assert lines[0].endswith("engine: failed")
    assert lines[1].startswith("Traceback") and lines[-1] == "ValueError: boom"


@pytest.mark.parametrize(("debug", "expected"), [(False, ["info"]), (True, ["debug", "info"])])
def test_debug_is_for_the_engine_only(debug: bool, expected: list[str]) -> None:
    out = written(LoggingConfig(output_format="json"), debug=debug)
    for name in ("engine.a", "redis", "aiohttp.client", "asyncio"):
        logging.getLogger(name).debug("debug")
        logging.getLogger(name).info("info")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == expected


def test_other_libraries_are_heard_from_warnings_on() -> None:
    out = written(LoggingConfig(output_format="json"))
    logging.getLogger("redis").warning("told")
    logging.getLogger("aiohttp.access").warning("not told")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("caught", ResourceWarning, stacklevel=1)
    messages = [json.loads(line)["message"] for line in out.getvalue().splitlines()]
    assert messages[0] == "told" and "caught" in messages[1] and len(messages) == 2


def test_setting_up_twice_writes_once() -> None:
    first, second = written(LoggingConfig()), written(LoggingConfig(), slot=1)
    logging.getLogger("engine").info("x")
    assert first.getvalue() == "" and second.getvalue().count("\n") == 1
