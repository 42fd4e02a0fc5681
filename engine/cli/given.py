"""The configuration that a command line names: its file, or the one that lies where the command is given.

Reads it; what is done with it is not decided here.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from engine.app import App
from engine.config.loading.load import Loaded, load
from engine.config.root import Config
from engine.config.soketi.convert import stand_in
from engine.errors import ConfigError

#: The first of them that there is.
DEFAULT_FILES = tuple(Path(f"config.{ending}") for ending in ("json", "toml", "yaml", "yml"))


def given(args: argparse.Namespace) -> tuple[Path | None, dict[str, object]]:
    """The file, if any, from then on the same; and what the command line says of its options.

    Raises ConfigError when two files are named.
    """
    flags = {"host": args.host, "port": args.port, "debug": args.debug or None}
    args.config = named(args) or next(filter(Path.exists, DEFAULT_FILES), None)
    return args.config, {name: value for name, value in flags.items() if value is not None}


def named(args: argparse.Namespace) -> Path | None:
    """The file that was named, behind `--config` or alone. Raises ConfigError when two were."""
    alone: Path | None = getattr(args, "file", None)
    option: Path | None = args.config
    if alone is not None and option is not None and alone != option:
        raise ConfigError(f"two files are named, {alone} and {option} (--config); which one is meant?")
    return alone or option


def loaded(args: argparse.Namespace) -> Loaded:
    """The configuration as `python -m engine` with these words has it. Raises ConfigError."""
    path, flags = given(args)
    return load(path, os.environ, args.workers, flags, stand_in(path, os.environ))


def config_and_apps(args: argparse.Namespace) -> tuple[Config, Sequence[App]]:
    """That, and the applications. Raises ConfigError."""
    from engine.cli.known_apps import known_apps

    config = loaded(args).config
    return config, known_apps(config)
