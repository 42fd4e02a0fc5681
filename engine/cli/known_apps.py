"""The applications as the server knows them: of the configuration, or of its database.

Read once: nothing keeps this copy up to date.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from engine.app import App
from engine.apps.build import build_apps
from engine.apps.entries import Entries
from engine.config.root import Config
from engine.errors import ConfigError, SourceUnavailable
from engine.metrics.metrics import Metrics


def known_apps(config: Config) -> Sequence[App]:
    """Raises ConfigError when the database cannot be read; an entry that cannot be used is logged."""
    if config.app_manager.from_file:
        return build_apps(config)
    try:
        return asyncio.run(read_apps(config))
    except SourceUnavailable as error:
        raise ConfigError(f"app_manager.driver: the applications cannot be read: {error}") from error


async def read_apps(config: Config) -> Sequence[App]:
    """Those of the database. Raises SourceUnavailable."""
    from engine.apps.sources.build import build_source

    assert config.app_manager.driver != "memory"
    source = build_source(config.database, config.app_manager.driver)
    try:
        return await Entries(config, Metrics()).take(await source.read()) or ()
    finally:
        await source.close()
