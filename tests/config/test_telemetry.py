"""What OpenTelemetry's variables ask of a start."""

from __future__ import annotations

import importlib.util

import pytest

from engine.config.loading.load import load
from engine.config.telemetry import Telemetry, telemetry
from engine.errors import ConfigError

ASKED = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"OTEL_SERVICE_NAME": "events", "OTEL_TRACES_SAMPLER": "nobody's"},
        {**ASKED, "OTEL_TRACES_EXPORTER": "none"},
        {**ASKED, "OTEL_SDK_DISABLED": "true"},
    ],
)
def test_nothing_is_asked_for(environ: dict[str, str]) -> None:
    assert telemetry(environ) == (None, [])


@pytest.mark.parametrize(
    "environ, asked",
    [
        (ASKED, Telemetry(1, True)),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, Telemetry(1, True)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/v1"}, Telemetry(1, True)),
        ({**ASKED, "OTEL_TRACES_SAMPLER": "always_off"}, Telemetry(0, False)),
        (
            {**ASKED, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"},
            Telemetry(0.01, True),
        ),
        ({**ASKED, "OTEL_BSP_MAX_QUEUE_SIZE": "100"}, Telemetry(1, True, 100)),
    ],
)
def test_what_is_asked_for(environ: dict[str, str], asked: Telemetry) -> None:
    assert telemetry(environ) == (asked, [])


def test_every_mistake_stops_the_start_with_what_is_allowed() -> None:
    environ = {
        "OTEL_TRACES_EXPORTER": "zipkin",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "2",
        "OTEL_BSP_MAX_QUEUE_SIZE": "0",
    }
    with pytest.raises(ConfigError) as error:
        load(None, environ, 1)
    for line in (
        'OTEL_TRACES_EXPORTER: "zipkin" is not known; allowed: otlp, none',
        'OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not known; allowed: http/protobuf',
        'OTEL_TRACES_SAMPLER_ARG: "2" is no ratio; allowed: 0 to 1',
        'OTEL_BSP_MAX_QUEUE_SIZE: "0" is out of range; allowed: 1 to 100000',
    ):
        assert line in str(error.value)
    with pytest.raises(ConfigError, match='OTEL_TRACES_SAMPLER: "jaeger" is not known; allowed: parentbased_always_on'):
        load(None, {**ASKED, "OTEL_TRACES_SAMPLER": "jaeger"}, 1)


def test_who_asks_without_the_libraries_is_told_which_extra_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"OTEL_EXPORTER_OTLP_ENDPOINT: .* pip install '\.\[otel\]' .*EXPORTER=none"):
        load(None, ASKED, 1)
    assert load(None, {}, 1).telemetry is None
