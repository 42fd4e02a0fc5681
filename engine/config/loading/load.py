"""From file, environment and flags to a checked configuration, or to a list of everything that is wrong.

It opens no socket and starts nothing.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path as FilePath
from typing import Any, NamedTuple

from pydantic import ValidationError

from engine.config.certificate import Certificate
from engine.config.loading import (
    aliases,
    checks,
    cluster_aliases,
    default_app,
    environment,
    known_secrets,
    server_aliases,
    unsupported,
    validation_errors,
)
from engine.config.loading.config_file import read
from engine.config.loading.document import Document, get, objects, put
from engine.config.loading.mistakes import Mistakes
from engine.config.loading.substitution import substitute
from engine.config.option_path import Path
from engine.config.redis import RedisOptions
from engine.config.resolve import Resolved, resolve
from engine.config.root import Config
from engine.config.telemetry import Telemetry, telemetry
from engine.errors import ConfigError

#: Sections whose names only soketi's configuration has.
SOKETI_SECTIONS = frozenset(
    {
        "appManager",
        "channelLimits",
        "databasePooling",
        "eventLimits",
        "httpApi",
        "pathPrefix",
        "rateLimiter",
        "shutdownGracePeriod",
        "userAuthenticationTimeout",
    }
)
#: What the engine fills in itself where nobody says it.
_FILLED_IN: tuple[Path, ...] = (("host",), ("metrics", "host"), default_app.APPS)
#: How a step says that a value is not the file's.
_SOURCE = re.compile(r"(environment variable \w+|command line)\)?\Z")
#: For operators who come from Sockudo, whose documentation says one thing and whose code does another (D-1).
SIGNATURE_UNSAID = (
    "webhooks.signature_format is not given: X-Pusher-Signature is sent as sha256=<hex>, as Sockudo documents it. "
    "Sockudo itself sends the bare <hex>, which the official libraries verify: "
    'write "hex" if your receivers do, or "prefixed" if they expect sha256='
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used. It can be pickled, for the workers.

    :param resolved: the effective drivers and the way to Redis.
    :param warnings: one line each, for the log once it is set up.
    :param certificate: what the server shows; None without TLS.
    :param telemetry: what OpenTelemetry's variables ask for; None where they ask for nothing.
    :param file: that it was read from, if any.
    """

    config: Config
    resolved: Resolved
    warnings: tuple[str, ...]
    certificate: Certificate | None = None
    telemetry: Telemetry | None = None
    file: FilePath | None = None


class StandIn(NamedTuple):
    """What there is in the place of a file: another server's variables.

    :param notes: a line for each thing of it that has no counterpart.
    :param written: how the user wrote a path.
    """

    name: FilePath
    document: Document
    notes: Sequence[str]
    written: Mapping[Path, str]


class Origins:
    """Where the values of a configuration come from.

    :param document: what file, environment and command line say, in our words, before the engine fills in anything.
    :param written: how the user wrote a path, where that differs.
    """

    def __init__(self, file: FilePath | None, document: Document, written: Mapping[Path, str]) -> None:
        self._file = file
        self._document = document
        #: Not said by anybody; what stands there afterwards is the engine's. A copy of all would cost every start.
        self._unsaid = {path for path in _FILLED_IN if not get(document, path)}
        self._written = written

    def of(self, path: Path) -> str:
        """`default`, the file's name, a variable or the command line."""
        if get(self._document, path) is None or any(path[: len(unsaid)] == unsaid for unsaid in self._unsaid):
            return "default"
        for length in range(len(path), 0, -1):
            if (written := self._written.get(path[:length])) is not None:
                found = _SOURCE.search(written)
                return found[1] if found else f"{self._file}, as {written}"
        return str(self._file)


def load(
    path: FilePath | None,
    environ: Mapping[str, str],
    workers: int,
    flags: Mapping[str, Any] | None = None,
    instead: StandIn | None = None,
) -> Loaded:
    """Defaults < file < environment variables < flags (K-1).

    :param path: the configuration file; None for none.
    :param flags: dotted option -> value, from the command line.
    :param instead: what is used where there is no file.
    Raises ConfigError with one line for every mistake.
    """
    return explain(path, environ, workers, flags, instead)[0]


def explain(
    path: FilePath | None,
    environ: Mapping[str, str],
    workers: int,
    flags: Mapping[str, Any] | None = None,
    instead: StandIn | None = None,
) -> tuple[Loaded, Origins]:
    """`load`, and where each value comes from."""
    mistakes = Mistakes()
    document = {} if path is None else read(path)
    told: Sequence[str] = ()
    if path is None and instead is not None:
        path, document, told, written = instead
        mistakes.written.update(written)
    # What editors look for.
    document.pop("$schema", None)
    _refuse_soketi(path, document)
    environ, services = environment.without_services(environ)
    document = substitute(document, environ, mistakes)
    environment.apply(document, environ, mistakes)
    for option, value in (flags or {}).items():
        where = tuple(option.split("."))
        if put(document, where, value):
            mistakes.written[where] = f"{option} (command line)"
    default_app.apply(document, environ, mistakes)
    server_aliases.normalize(document, mistakes)
    aliases.normalize(document, mistakes)
    cluster_aliases.normalize(document, mistakes)
    passed_over = unsupported.drop(document, mistakes)
    origins = Origins(path, document, mistakes.written)
    warnings = [services, *told, *passed_over, default_app.unknown(environ), default_app.fall_back(document)]
    if instead is None and (theirs := sorted(name for name in environ if name.startswith("SOKETI_"))):
        warnings.append(
            "environment variables of soketi are not read beside a file; `python -m engine config convert` writes one "
            f"of them: {', '.join(theirs)}"
        )
    warnings.append(known_secrets.settle_hosts(document, mistakes))
    if passed_over and _signature_unsaid(document):
        warnings.append(SIGNATURE_UNSAID)
    if workers < 1:
        mistakes.add(("--workers",), "is out of range; allowed: 1 or more", workers)
    config = None
    try:
        config = Config.model_validate(document)
    except ValidationError as error:
        validation_errors.collect(error, mistakes)
    checks.check(document, workers, mistakes)
    spans, wrong = telemetry(environ)
    for variable, value, problem in wrong:
        mistakes.add((variable,), problem, value)
    mistakes.raise_if_any()
    assert config is not None
    resolved = resolve(config, workers)
    warnings += _doubtful(config, resolved, workers)
    if config.app_manager.driver != "memory" and config.app_manager.array.apps:
        warnings.append(f"app_manager.array.apps is not used: applications come from {config.app_manager.driver}")
    certificate = Certificate.read(config.ssl)
    if certificate is not None and (expires_at := certificate.expires_at()) is not None and expires_at <= time.time():
        day = datetime.fromtimestamp(expires_at, UTC).date()
        warnings.append(f"ssl.cert_path: the certificate expired on {day}; clients refuse it")
    said = tuple(line for line in warnings if line is not None)
    return Loaded(config, resolved, said, certificate, spans, path), origins


def _refuse_soketi(path: FilePath | None, document: Document) -> None:
    found = next((key for key in document if key.partition(".")[0] in SOKETI_SECTIONS), None)
    if found is not None:
        raise ConfigError(
            f"config file {path}: {found}: this is a configuration of soketi; "
            f"turn it into one of this engine: python -m engine config convert {path} -o config.json"
        )


def _signature_unsaid(document: Document) -> bool:
    """Whether the file leaves open in which form webhooks are signed, for one of them or for all that may come."""
    if get(document, ("webhooks", "signature_format")) is not None:
        return False
    hooks = [hook for _, app in objects(document, default_app.APPS) for _, hook in objects(app, ("webhooks",))]
    return not hooks or any(hook.get("signature_format") is None for hook in hooks)


def _doubtful(config: Config, resolved: Resolved, workers: int) -> list[str]:
    """What works, but not as some would expect."""
    warnings = []
    redis = config.database.redis
    if redis.url is not None and not redis.cluster_nodes and not redis.sentinels:
        said = RedisOptions.parse(redis.url)
        for name in ("username", "password", "db", "tls"):
            if getattr(redis, name) and not getattr(said, name):
                warnings.append(f"database.redis.{name} is not used: database.redis.url is given, and says all of that")
    if workers > 1 and resolved.queue == "memory":
        warnings.append('queue.driver is "memory": webhooks that wait in a worker are lost if it dies')
    if workers > 1 and resolved.rate_limiter == "memory":
        warnings.append(f'rate_limiter.driver is "memory": each of {workers} workers counts for itself')
    return warnings
