"""One application's entry from outside the configuration, held to the same rules as one that stands in the file.

Pure: it reads no source and changes no running application.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from engine.config.apps import AppConfig
from engine.config.loading import aliases, checks, server_aliases, unsupported, validation_errors
from engine.config.loading.default_app import APPS
from engine.config.loading.document import Document, put
from engine.config.loading.mistakes import Mistakes
from engine.config.root import Config
from engine.errors import ConfigError


def check_entry(entry: dict[str, Any], config: Config) -> AppConfig:
    """The entry as it would be read from the file.

    Raises ConfigError with one line for every mistake, each beginning with the option's name within the entry.
    """
    mistakes = Mistakes()
    # What is said elsewhere in the configuration was checked at start; this much of it bears on an application.
    document: Document = {"ssl": {"trust_forwarded_proto": config.ssl.enabled or config.ssl.trust_forwarded_proto}}
    put(document, APPS, [deepcopy(entry)])
    mistakes.written[(*APPS, 0)] = ""
    server_aliases.normalize(document, mistakes)
    aliases.normalize(document, mistakes)
    unsupported.drop(document, mistakes)
    found = None
    try:
        found = Config.model_validate(document)
    except ValidationError as error:
        validation_errors.collect(error, mistakes)
    checks.check(document, 1, mistakes)
    if lines := mistakes.lines():
        raise ConfigError("\n".join(line.removeprefix(".") for line in lines))
    assert found is not None
    return found.app_manager.array.apps[0]
