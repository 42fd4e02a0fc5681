"""`python -m engine config check`, `config show` and `config convert`.

Starts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine.cli.text import complain, say
from engine.config.loading.config_file import read
from engine.config.loading.load import Loaded, explain
from engine.config.loading.mistakes import SECRET_KEYS, without_credentials
from engine.config.option_path import Path as OptionPath
from engine.config.option_path import dotted
from engine.config.soketi.convert import convert, stand_in
from engine.config.soketi.variables import given
from engine.errors import ConfigError
from engine.log.escapes import one_line


def check_config(loaded: Loaded) -> int:
    """Say that it is OK, and of what; warnings go to stderr. Returns the exit status."""
    for warning in loaded.warnings:
        complain(f"warning: {warning}")
    say(f"OK: {loaded.file or 'no file, the defaults and the environment'}")
    return 0


def show_config(
    path: Path | None, environ: Mapping[str, str], workers: int, flags: Mapping[str, Any], *, as_json: bool
) -> int:
    """Print each value that is in force, and where it comes from; never a secret. Returns the exit status."""
    loaded, origins = explain(path, environ, workers, flags, stand_in(path, environ))
    for warning in loaded.warnings:
        complain(f"warning: {warning}")
    for at, value in _values(loaded.config.model_dump(mode="json", by_alias=True), ()):
        shown = '"(secret)"' if value and any(part in SECRET_KEYS for part in at) else _without_password(value)
        if as_json:
            fields = {"option": dotted(at), "value": json.loads(shown), "from": origins.of(at)}
            say(json.dumps(fields, ensure_ascii=False))
        else:
            say(f"{dotted(at)} = {one_line(shown)}  # {origins.of(at)}")
    return 0


def _values(value: Any, at: OptionPath) -> Iterator[tuple[OptionPath, Any]]:
    """All that is no object and no list of objects, each with its path."""
    if isinstance(value, dict) and value and not (at and at[-1] in SECRET_KEYS):
        for key, item in value.items():
            yield from _values(item, (*at, key))
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for index, item in enumerate(value):
            yield from _values(item, (*at, index))
    else:
        yield at, value


def _without_password(value: Any) -> str:
    return json.dumps(without_credentials(value) if isinstance(value, str) else value, ensure_ascii=False)


def convert_config(path: Path | None, environ: Mapping[str, str], output: Path | None) -> int:
    """Write a soketi configuration in our words to `output` or stdout, and to stderr what has no counterpart."""
    if path is None and not given(environ):
        raise ConfigError("there is nothing to convert: name a file of soketi, or set its SOKETI_… variables")
    try:
        document, notes = convert({} if path is None else read(path), environ)
    except (AttributeError, TypeError, ValueError) as problem:
        raise ConfigError(f"{path or 'SOKETI_…'}: is not a configuration of soketi: {problem}") from None
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
