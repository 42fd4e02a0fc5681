"""A soketi configuration in this engine's words (K-2 to K-4), with a line for everything that has no counterpart.

Pure: it reads no file and checks no value; `load.py` does both with what comes out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path as FilePath
from typing import Any

from engine.config.loading.document import Document, get, leaves, put, says_nothing
from engine.config.loading.load import StandIn
from engine.config.option_path import Path, snake_case
from engine.config.soketi.apps import DEFAULT_APP, convert_apps
from engine.config.soketi.databases import convert_database
from engine.config.soketi.redis import convert_redis
from engine.config.soketi.variables import OF_APP, PREFIX, VARIABLES, given, lay_over

#: What soketi does when its configuration says nothing, where this engine does otherwise.
_DEFAULTS: Document = {
    "user_authentication_timeout": 30,
    "shutdown_grace_period": 3,
    "http_api": {"request_limit_in_mb": 100, "accept_traffic": {"memory_threshold": 0.85}},
    "metrics": {"enabled": False, "prometheus": {"prefix": "soketi_"}},
    # soketi sends the bare digest, which the official libraries verify (D-1).
    "webhooks": {"batching": {"enabled": False}, "signature_format": "hex"},
}


def _same(value: Any) -> Any:
    return value


def _seconds(value: Any) -> Any:
    number = _number(value)
    return value if number is None else _plain(number / 1000)


def _fraction(value: Any) -> Any:
    number = _number(value)
    return value if number is None else _plain(number / 100)


#: soketi's option -> ours, and how its value is converted.
_OPTIONS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "host": ("host", _same),
    "port": ("port", _same),
    "debug": ("debug", _same),
    "pathPrefix": ("path_prefix", _same),
    "shutdownGracePeriod": ("shutdown_grace_period", _seconds),
    "userAuthenticationTimeout": ("user_authentication_timeout", _seconds),
    "channelLimits.maxNameLength": ("channel_limits.max_name_length", _same),
    "channelLimits.cacheTtl": ("channel_limits.cache_ttl", _same),
    "eventLimits.maxChannelsAtOnce": ("event_limits.max_channels_at_once", _same),
    "eventLimits.maxNameLength": ("event_limits.max_name_length", _same),
    "eventLimits.maxPayloadInKb": ("event_limits.max_payload_in_kb", _same),
    "eventLimits.maxBatchSize": ("event_limits.max_batch_size", _same),
    "presence.maxMembersPerChannel": ("presence.max_members_per_channel", _same),
    "presence.maxMemberSizeInKb": ("presence.max_member_size_in_kb", _same),
    "httpApi.requestLimitInMb": ("http_api.request_limit_in_mb", _same),
    "httpApi.acceptTraffic.memoryThreshold": ("http_api.accept_traffic.memory_threshold", _fraction),
    "cors.credentials": ("cors.credentials", _same),
    "cors.origin": ("cors.origin", _same),
    "cors.methods": ("cors.methods", _same),
    "cors.allowedHeaders": ("cors.allowed_headers", _same),
    "metrics.enabled": ("metrics.enabled", _same),
    "metrics.driver": ("metrics.driver", _same),
    "metrics.host": ("metrics.host", _same),
    "metrics.port": ("metrics.port", _same),
    "metrics.prometheus.prefix": ("metrics.prometheus.prefix", _same),
    "ssl.certPath": ("ssl.cert_path", _same),
    "ssl.keyPath": ("ssl.key_path", _same),
    "ssl.passphrase": ("ssl.passphrase", _same),
    "webhooks.batching.enabled": ("webhooks.batching.enabled", _same),
    "webhooks.batching.duration": ("webhooks.batching.duration", _same),
}
#: The same for options that only mean something when some driver is redis.
_REDIS_OPTIONS: dict[str, str] = {
    "adapter.redis.prefix": "adapter.redis.prefix",
    "queue.redis.concurrency": "queue.redis.concurrency",
}
#: Driver option -> word -> what to say about it; "redis" is kept, a word with nothing to say is left to the engine.
_DRIVERS: dict[str, dict[str, str]] = {
    "adapter": {
        "local": "",
        "cluster": "start with --workers N on one machine; on several machines, give all of them one database.redis",
        "nats": "several machines share a Redis here: give all of them one database.redis",
    },
    "cache": {"memory": ""},
    "queue": {"sync": ""},
    "rateLimiter": {"local": "", "cluster": ""},
}
#: Option -> why it is left out; everything below it goes with it.
_NO_COUNTERPART: dict[str, str] = {
    "instance": "a process finds an id of its own",
    "cluster": "workers need no discovery",
    "databasePooling": "",
    "adapter.cluster": "workers need no discovery",
    "adapter.nats": "several machines share a Redis here",
    "adapter.redis.requestsTimeout": "workers never ask each other",
    "queue.sqs": "",
    "ssl.caPath": "put the chain into the file of ssl.cert_path",
}


def convert(soketi: Document, environ: Mapping[str, str]) -> tuple[Document, list[str]]:
    """The configuration in our words, and a line for each of its options that has no counterpart here.

    :param environ: its variables win over what the file says, as they do there.
    """
    source, ours = _unfolded(soketi), deepcopy(_DEFAULTS)
    notes = lay_over(source, environ, DEFAULT_APP)
    if str(source.pop("mode", "full")) != "full":
        notes.append("mode: every worker does everything here")
    if not says_nothing(_take(source, "appManager.cache")):
        notes.append("appManager.cache: has no counterpart; applications in a database are read again all the time")
    if not convert_database(source, ours, notes):
        convert_apps(source.pop("appManager", None), ours, notes)
    _sqs(source, ours, notes)
    drivers = _drivers(source, ours, notes)
    for theirs, (option, converted) in _OPTIONS.items():
        value = _take(source, theirs)
        if value not in (None, ""):
            put(ours, tuple(option.split(".")), converted(value))
    for theirs, option in _REDIS_OPTIONS.items():
        value = _take(source, theirs)
        if value in (None, ""):
            continue
        if "redis" in drivers.values():
            put(ours, tuple(option.split(".")), value)
        else:
            notes.append(f"{theirs}: is left out; no driver is redis there")
    convert_redis(source, ours, notes, drivers)
    if get(ours, ("ssl", "cert_path")) is not None:
        put(ours, ("ssl", "enabled"), True)
    for theirs, why in _NO_COUNTERPART.items():
        if not says_nothing(_take(source, theirs)):
            notes.append(f"{theirs}: has no counterpart" + (f"; {why}" if why else ""))
    notes += [f"{path}: is not an option of soketi that is known here" for path in leaves(source)]
    return ours, notes


def stand_in(path: FilePath | None, environ: Mapping[str, str]) -> StandIn | None:
    """What soketi's variables say, where they are set and there is no file."""
    variables = given(environ)
    if path is not None or not variables:
        return None
    document, notes = convert({}, environ)
    written = dict(_reach(environ, document))
    for variable in variables:
        name = variable.removeprefix(PREFIX)
        if name in OF_APP:
            written["app_manager", "array", "apps", 0, snake_case(OF_APP[name])] = f"environment variable {variable}"
        elif (ours := _OPTIONS.get(VARIABLES[name])) is not None:
            written[tuple(ours[0].split("."))] = f"{ours[0]} (environment variable {variable})"
    notes = [f"not taken over from the variables of soketi: {note}" for note in notes]
    return StandIn(FilePath("variables of soketi"), document, notes, written)


def _reach(environ: Mapping[str, str], document: Document) -> Iterator[tuple[Path, str]]:
    """Each option that is another without some variable of the server, with that variable.

    Those that reach furthest come first, such as a driver, without which nothing is said of Redis.
    """
    paths = [tuple(leaf.split(".")) for leaf in leaves(document)]
    reached: list[tuple[str, list[Path]]] = []
    for variable in given(environ):
        if variable.removeprefix(PREFIX) in OF_APP:
            continue
        others, _ = convert({}, {name: value for name, value in environ.items() if name != variable})
        reached.append((variable, [path for path in paths if get(others, path) != get(document, path)]))
    for variable, options in sorted(reached, key=lambda each: -len(each[1])):
        for path in options:
            yield path, f"{'.'.join(map(str, path))} (environment variable {variable})"


def _drivers(source: Document, ours: Document, notes: list[str]) -> dict[str, Any]:
    """Convert every driver; part -> what was written of it."""
    found = {part: _take(source, f"{part}.driver") for part in _DRIVERS}
    for part, word in found.items():
        if word == "redis":
            put(ours, (snake_case(part), "driver"), "redis")
        elif word is not None:
            note = _DRIVERS[part].get(str(word), "has no counterpart")
            if note:
                notes.append(f'{part}.driver: "{word}": {note}')
    return found


def _sqs(source: Document, ours: Document, notes: list[str]) -> None:
    if get(source, ("queue", "driver")) != "sqs":
        return
    _take(source, "queue.driver")
    put(ours, ("queue", "driver"), "sqs")
    for theirs, option in (("region", "region"), ("endpoint", "endpoint_url")):
        value = _take(source, f"queue.sqs.{theirs}")
        if value:
            put(ours, ("queue", "sqs", option), value)
    url = _take(source, "queue.sqs.queueUrl")
    if url:
        put(ours, ("queue", "sqs", "fifo"), str(url).endswith(".fifo"))
        notes.append(
            "queue.sqs.queueUrl: there are two queues here, see queue.sqs.queue_url_prefix in docs/webhooks.md"
        )


def _unfolded(soketi: Document) -> Document:
    """A copy in which ``{"metrics.port": 1}`` is ``{"metrics": {"port": 1}}``, as soketi reads it."""
    source: Document = {}
    for key, value in soketi.items():
        path = tuple(key.split("."))
        found = get(source, path)
        if isinstance(found, dict) and isinstance(value, dict):
            value = found | value
        put(source, path, deepcopy(value))
    return source


def _take(source: Document, option: str) -> Any:
    """The option's value; it is taken out, so that what is left at the end is what nobody knew."""
    *way, last = option.split(".")
    parent = get(source, tuple(way))
    return parent.pop(last, None) if isinstance(parent, dict) else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _plain(number: float) -> int | float:
    return int(number) if number.is_integer() else number
