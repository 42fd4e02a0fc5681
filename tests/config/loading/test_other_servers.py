"""What becomes of each option that Sockudo and soketi know, and of files as their users have them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from engine.config.loading.document import Document
from engine.config.loading.load import SIGNATURE_UNSAID, Loaded
from engine.config.loading.unsupported import DENIALS, IGNORED, REFUSED
from engine.config.soketi.convert import convert
from engine.errors import ConfigError
from tests.config.loading.sockudo_options import SOCKUDO, Row
from tests.config.loading.soketi_options import SOKETI
from tests.config.support import HOOK, apps, loaded


def _document(base: Document, options: dict[str, Any]) -> Document:
    for option, value in options.items():
        _put(base, option, value)
    return base


def _put(document: Any, option: str, value: Any) -> None:
    """`[]` is the first of a list."""
    *way, last = re.sub(r"\[\]", ".0", option).split(".")
    for here, after in zip(way, [*way[1:], last], strict=False):
        child: Any = [] if after == "0" else {}
        if here == "0":
            if not document:
                document.append(child)
            document = document[0]
        else:
            document = document.setdefault(here, child)
    document[last] = value


def _base(option: str) -> Document:
    if "webhooks[]" not in option:
        return apps({})
    lambda_target = "lambda" in option.rpartition("webhooks[].")[2].split(".")[0]
    return apps({"webhooks": [{"event_types": HOOK["event_types"]} if lambda_target else dict(HOOK)]})


def _before(row: Row) -> Loaded:
    try:
        return loaded(_document(_base(row.option), row.beside))
    except ConfigError:
        # One of two that only go together, or a target of its own.
        return loaded(apps({"webhooks": [HOOK]}) if "webhooks[]" in row.option else apps({}))


@pytest.mark.parametrize("row", SOCKUDO, ids=lambda row: f"{row.option}={row.value}"[:90])
def test_an_option_of_sockudo(row: Row) -> None:
    name = row.option.replace("[]", "[0]")
    document = _document(_base(row.option), row.beside | {row.option: row.value})
    if row.verdict == "refused":
        with pytest.raises(ConfigError) as caught:
            loaded(document)
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"{name}: ")
        assert re.search(r"; |allowed: |write|take", line), "it says what to write instead"
        return
    found = loaded(document)
    if row.verdict == "passed over":
        (warning, signature) = found.warnings
        assert re.match(r"passed over, [^:]+: ", warning) and signature == SIGNATURE_UNSAID
        assert any(name.startswith(told) for told in warning.rpartition(": ")[2].split(", "))
    else:
        assert not any("passed over" in warning for warning in found.warnings)
        before = _before(row)
        no_other = row.value == "prometheus" or row.option in row.beside
        assert no_other or (found.config, found.resolved) != (before.config, before.resolved), "it takes effect"


def test_the_table_knows_every_option_that_the_engine_passes_over_or_refuses() -> None:
    listed = [re.sub(r"policy\.(limits|features|channels)?\.?", "", row.option) for row in SOCKUDO]
    for option in {*IGNORED, *REFUSED, *DENIALS} - {"telemetry", "app_manager.array.apps[].policy"}:
        assert any(name == option or name.startswith((f"{option}.", f"{option}[]")) for name in listed) or (
            "lambda.client_options" in option  # soketi's
        ), option


@pytest.mark.parametrize("row", SOKETI, ids=lambda row: f"{row.option}={row.value}"[:90])
def test_an_option_of_soketi(row: Row) -> None:
    ours, notes = convert(_document({}, row.beside | {row.option: row.value}), {})
    loaded(ours)
    before, beside = convert(_document({}, row.beside), {})
    told = [note for note in notes if note not in beside]
    if row.verdict == "passed over":
        assert any(note.startswith(row.option.partition(".redisOptions")[0].split(".")[0]) for note in told)
        assert ours == before
    else:
        assert told == []
        assert row.value == "prometheus" or (ours != before) or row.option in row.beside


def test_a_file_of_soketi_is_told_from_ours() -> None:
    with pytest.raises(
        ConfigError, match=r"appManager: this is a configuration of soketi; .* config convert .*json -o"
    ):
        loaded({"appManager": {"driver": "array"}})


def test_variables_of_soketi_are_told_of() -> None:
    (warning,) = loaded({}, {"SOKETI_PORT": "7001", "SOKETI_DEBUG": "1"}).warnings
    assert warning.endswith("`python -m engine config convert` writes one of them: SOKETI_DEBUG, SOKETI_PORT")


@pytest.mark.parametrize("hex_", [None, "hex"])
def test_who_comes_from_sockudo_is_told_of_the_two_forms_of_signatures(hex_: str | None) -> None:
    document = apps({"webhooks": [HOOK]}) | {"mode": "production"}
    if hex_ is not None:
        document["webhooks"] = {"signature_format": hex_}
    assert (SIGNATURE_UNSAID in loaded(document).warnings) == (hex_ is None)
    own = apps({"webhooks": [HOOK | {"signature_format": "hex"}]}) | {"mode": "production"}
    assert SIGNATURE_UNSAID not in loaded(own).warnings
    assert SIGNATURE_UNSAID not in loaded(apps({"webhooks": [HOOK]})).warnings, "nothing says that it was Sockudo's"


def test_the_documented_switches_of_webhooks_take_effect() -> None:
    """Sockudo's page has them beside `batching` and `retry`."""
    found = loaded(
        {
            "webhooks": {
                "enabled": True,
                "batching_enabled": True,
                "max_batch_size": 10,
                "flush_interval_ms": 20,
                "timeout_ms": 3000,
            }
        }
    )
    webhooks = found.config.webhooks
    assert (webhooks.batching.size, webhooks.batching.duration, webhooks.request_timeout_ms) == (10, 20, 3000)
    assert found.warnings == ()
    with pytest.raises(ConfigError, match=r"^webhooks.batching.size: is given twice, also as webhooks.max_batch_size"):
        loaded({"webhooks": {"max_batch_size": 10, "batching": {"size": 5}}})


def test_the_nodes_of_a_queue_that_is_not_a_cluster_are_not_the_redis() -> None:
    """Sockudo's sample names some in any case."""
    found = loaded({"queue": {"driver": "memory", "redis_cluster": {"nodes": ["redis://127.0.0.1:6379"]}}})
    assert found.resolved.redis is None
