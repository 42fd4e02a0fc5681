"""What the environment asks of OpenTelemetry: whether spans are made, and of which publishes.

Reads the variables that say so; those of the exporter, the batches and the resource are left to its SDK. Imports none
of it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass

EXPORTER, SAMPLER, RATIO = "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
DISABLED = "OTEL_SDK_DISABLED"
ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
PROTOCOL = "http/protobuf"
QUEUE_SIZE = "OTEL_BSP_MAX_QUEUE_SIZE"
#: Of finished spans that wait to be sent, and the most that may be asked for: each takes some 2 KiB.
QUEUE_SPANS, MAX_QUEUE_SPANS = 2048, 100_000

_PARENT = "parentbased_"
_RATIOS = {"always_on": 1.0, "always_off": 0.0}
_BY_RATIO = "traceidratio"
_SAMPLERS = ", ".join(f"{prefix}{name}" for prefix in (_PARENT, "") for name in (*_RATIOS, _BY_RATIO))
_MODULES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Spans are made.

    :param ratio: of the publishes whose caller has not decided, and of webhooks.
    :param heeds_callers: whether a caller's `traceparent` decides.
    :param queue_spans: finished ones that may wait to be sent.
    """

    ratio: float
    heeds_callers: bool
    queue_spans: int = QUEUE_SPANS


def telemetry(environ: Mapping[str, str]) -> tuple[Telemetry | None, list[tuple[str, str, str]]]:
    """What is asked for, None where nothing is; and what of it cannot be done: (variable, value, what is allowed)."""
    asking = _asking(environ)
    if asking is None:
        return None, []
    wrong: list[tuple[str, str, str]] = []
    exporter = environ.get(EXPORTER, "otlp")
    if exporter != "otlp":
        wrong.append((EXPORTER, exporter, "is not known; allowed: otlp, none"))
    elif not _installed():
        needs = "needs a library that is not installed; pip install '.[otel]' in the folder of the engine's source"
        wrong.append((asking, environ[asking], f"{needs}, or set {EXPORTER}=none"))
    for name in PROTOCOLS:
        if environ.get(name, PROTOCOL) != PROTOCOL:
            wrong.append((name, environ[name], f"is not known; allowed: {PROTOCOL}"))
    sampler = environ.get(SAMPLER) or "parentbased_always_on"
    ratio = _RATIOS.get(sampler.removeprefix(_PARENT))
    if sampler.removeprefix(_PARENT) == _BY_RATIO:
        ratio = _number(environ.get(RATIO) or "1")
        if ratio is None:
            wrong.append((RATIO, environ[RATIO], "is no ratio; allowed: 0 to 1"))
    elif ratio is None:
        wrong.append((SAMPLER, sampler, f"is not known; allowed: {_SAMPLERS}"))
    queue_spans = environ.get(QUEUE_SIZE) or str(QUEUE_SPANS)
    if not queue_spans.isdecimal() or not 1 <= int(queue_spans) <= MAX_QUEUE_SPANS:
        wrong.append((QUEUE_SIZE, queue_spans, f"is out of range; allowed: 1 to {MAX_QUEUE_SPANS}"))
    if wrong or ratio is None:
        return None, wrong
    return Telemetry(ratio, sampler.startswith(_PARENT), int(queue_spans)), []


def _asking(environ: Mapping[str, str]) -> str | None:
    """The variable that asks for spans. Without one that names an exporter or where to send them there are none."""
    if environ.get(DISABLED, "").lower() == "true" or environ.get(EXPORTER) == "none":
        return None
    return next((name for name in (EXPORTER, *ENDPOINTS) if environ.get(name)), None)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= 1 else None


def _installed() -> bool:
    try:
        return all(importlib.util.find_spec(module) is not None for module in _MODULES)
    except ModuleNotFoundError:
        return False
