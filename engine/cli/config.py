"""`python -m engine config check` and `config convert`.

Starts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from engine.cli.text import complain, one_line, say
from engine.config.loading.config_file import read
from engine.config.loading.load import load
from engine.config.soketi.convert import convert
from engine.errors import ConfigError


def check_config(path: Path, environ: Mapping[str, str], workers: int) -> int:
    """Say OK, or raise ConfigError with every mistake; warnings go to stderr. Returns the exit status."""
    for warning in load(path, environ, workers).warnings:
        complain(f"warning: {warning}")
    say("OK")
    return 0


def convert_config(path: Path, output: Path | None) -> int:
    """Write a soketi configuration in our words to `output` or stdout, and to stderr what has no counterpart."""
    try:
        document, notes = convert(read(path))
    except (AttributeError, TypeError, ValueError) as problem:
        raise ConfigError(f"{path}: is not a configuration of soketi: {problem}") from None
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if output is None:
        say(text)
    else:
        try:
            output.write_text(f"{text}\n", encoding="utf-8")
        except OSError as problem:
            raise ConfigError(f"{output}: cannot be written: {problem.strerror}") from None
    for note in notes:
        complain(f"not converted: {one_line(note)}")
    return 0
