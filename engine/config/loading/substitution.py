"""`${VAR}` and `${VAR:-default}` in the text values of the configuration file (K-1, D-13).

Texts only, before anything else looks at a value; what they stand for is not checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from engine.config.loading.mistakes import Mistakes
from engine.config.option_path import Path

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def substitute(value: Any, environ: Mapping[str, str], mistakes: Mistakes, path: Path = ()) -> Any:
    """A copy of `value` with every reference replaced. As in a shell, `:-` also replaces an empty variable."""
    if isinstance(value, dict):
        return {key: substitute(item, environ, mistakes, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [substitute(item, environ, mistakes, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        name, default = match.groups()
        if default is not None:
            return environ.get(name) or str(default)
        if name not in environ:
            mistakes.add(path, f"the environment variable {name} is not set; set it or write ${{{name}:-default}}")
        return environ.get(name, "")

    if "${" in _REFERENCE.sub("", value):
        # Not shown: it may be beside a secret. What has these two characters itself is put into a variable.
        mistakes.add(path, "has a ${ that begins no reference; written ${NAME} or ${NAME:-default}")
    return _REFERENCE.sub(replacement, value)
