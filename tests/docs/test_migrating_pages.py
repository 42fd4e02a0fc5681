"""What the pages for those who come from elsewhere give to be pasted, with what they really have."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config.loading.load import load
from tests.support.snippets import snippets

#: As `php artisan install:broadcasting` writes them, and what Laravel's page on Reverb adds.
ENV = """REVERB_APP_ID=817263
REVERB_APP_KEY=laq9cuhnwdxnjlmhgpwi
REVERB_APP_SECRET=0pxyyy1r2ptjqlqurkcj
REVERB_HOST="localhost"
REVERB_PORT=8080
REVERB_SCHEME=http
"""
MORE = """REVERB_SERVER_HOST=127.0.0.1
REVERB_SERVER_PORT=8090
REVERB_SERVER_PATH=realtime
REVERB_APP_ACTIVITY_TIMEOUT=40
REVERB_APP_MAX_CONNECTIONS=5000
"""


@pytest.mark.parametrize(
    ("env", "server", "limits"),
    [(ENV, ("0.0.0.0", 8080, ""), (30, 0)), (ENV + MORE, ("127.0.0.1", 8090, "/realtime"), (40, 5000))],
    ids=["as written", "with more"],
)
def test_variables_of_reverb_are_taken_over(
    env: str, server: tuple[str, int, str], limits: tuple[int, int], tmp_path: Path
) -> None:
    (text,) = snippets("migrating-from-reverb.md", "json")
    (file := tmp_path / "config.json").write_text(text)
    environ = {name: value.strip('"') for name, _, value in (line.partition("=") for line in env.splitlines())}
    found = load(file, environ, 2)
    config = found.config
    (app,) = config.app_manager.array.apps
    assert (app.id, app.key, app.secret) == ("817263", "laq9cuhnwdxnjlmhgpwi", "0pxyyy1r2ptjqlqurkcj")
    assert app.enable_client_messages
    assert (config.host, config.port, config.path_prefix) == server
    assert (config.activity_timeout, app.max_connections) == limits
    assert found.warnings == ()
