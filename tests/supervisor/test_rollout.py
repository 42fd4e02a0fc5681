"""A configuration that is read again must not open to strangers what was closed to them."""

from __future__ import annotations

import pytest

from engine.control import WorkerSpec
from engine.metrics.metrics import Metrics
from engine.supervisor.rollout import ConfigRollout
from tests.config.support import apps, loaded

OURS = apps({"secret": "a-secret-of-ours"})


@pytest.mark.parametrize("new", [apps(), apps({"secret": "app-secret"})], ids=["no application", "a known secret"])
def test_a_known_secret_is_not_taken_where_everybody_can_use_it(
    new: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    running = loaded(OURS)
    assert running.config.host == "0.0.0.0"
    rollout = ConfigRollout(WorkerSpec(running, None, 1, ""), Metrics())
    rollout.read_again(lambda: loaded(new), [])
    assert rollout.newest.loaded == running
    assert "nothing has changed" in caplog.text
    assert "has a secret that everybody knows, and this engine listens on 0.0.0.0" in caplog.text


def test_where_only_the_own_machine_can_use_it_or_it_is_wanted_so_it_is_taken() -> None:
    for host, said in (("127.0.0.1", {}), ("0.0.0.0", {"host": "0.0.0.0"})):
        running = loaded(OURS | {"host": host})
        rollout = ConfigRollout(WorkerSpec(running, None, 1, ""), Metrics())
        rollout.read_again(lambda said=said: loaded(apps({"secret": "app-secret"}) | said), [])
        (app,) = rollout.newest.loaded.config.app_manager.array.apps
        assert app.secret == "app-secret"
        rollout.close()
