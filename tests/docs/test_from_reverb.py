"""docs/migrating-from-reverb.md: its configuration takes what Laravel has, and Echo and whispers go on as they are."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from engine.config.loading.load import Loaded, load
from tests.support.engine import running
from tests.support.node import CLIENTS, missing
from tests.support.snippets import snippets

PAGE = "migrating-from-reverb.md"

#: As `php artisan install:broadcasting` writes them, and what Laravel's page on Reverb adds.
ENV = """REVERB_APP_ID=817263
REVERB_APP_KEY=laq9cuhnwdxnjlmhgpwi
REVERB_APP_SECRET=0pxyyy1r2ptjqlqurkcj
REVERB_HOST="localhost"
REVERB_PORT=8080
REVERB_SCHEME=http

VITE_REVERB_APP_KEY="${REVERB_APP_KEY}"

REDIS_CLIENT=phpredis
REDIS_HOST=127.0.0.1
REDIS_PASSWORD=null
REDIS_PORT=6379
"""
MORE = """REVERB_SERVER_HOST=127.0.0.1
REVERB_SERVER_PORT=8090
REVERB_SERVER_PATH=realtime
REVERB_APP_ACTIVITY_TIMEOUT=40
REVERB_APP_MAX_CONNECTIONS=5000
REVERB_APP_RATE_LIMITING_ENABLED=true
REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS=20
REDIS_PASSWORD="hush hush"
"""


@pytest.mark.parametrize(
    ("env", "server", "limits"),
    [(ENV, ("0.0.0.0", 8080, ""), (30, 0, None)), (ENV + MORE, ("127.0.0.1", 8090, "/realtime"), (40, 5000, 20))],
    ids=["as written", "with more"],
)
def test_variables_of_reverb_are_taken_over(
    env: str, server: tuple[str, int, str], limits: tuple[int, int, int | None], tmp_path: Path
) -> None:
    found = _loaded(_exported(env, tmp_path), tmp_path)
    config = found.config
    (app,) = config.app_manager.array.apps
    assert (app.id, app.key, app.secret) == ("817263", "laq9cuhnwdxnjlmhgpwi", "0pxyyy1r2ptjqlqurkcj")
    assert app.enable_client_messages
    assert (config.host, config.port, config.path_prefix) == server
    limit = app.message_rate_limit
    assert (config.activity_timeout, app.max_connections) == limits[:2]
    assert limit is not None
    assert (limit.max_attempts if limit.enabled else None) == limits[2]
    assert config.database.redis.host is None
    assert found.warnings == ()


@pytest.mark.parametrize(("env", "password"), [(ENV, None), (ENV + MORE, "hush hush")], ids=["as written", "with more"])
def test_the_redis_of_laravel_is_taken_over(env: str, password: str | None, tmp_path: Path) -> None:
    """Laravel writes null where there is no password."""
    redis = _loaded(_exported(env, tmp_path), tmp_path, with_redis=True).config.database.redis
    assert (redis.host, redis.port, redis.username, redis.password) == ("127.0.0.1", 6379, None, password)


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_echo_goes_on_as_laravel_set_it_up(tmp_path: Path) -> None:
    variables = _exported(ENV, tmp_path)
    config = json.loads(snippets(PAGE, "json")[0])
    del config["host"], config["port"]
    with running(config, 2, env=variables) as engine:
        where = {"REVERB_HOST": "127.0.0.1", "REVERB_PORT": engine.port}
        came = subprocess.run(
            ["node", CLIENTS / "from_reverb.mjs", json.dumps(variables | where)],
            stdout=subprocess.PIPE,
            timeout=60,
            check=True,
        ).stdout
    assert json.loads(came) == {
        "refused": "forbidden",
        "here": [{"id": 1}, {"id": 2}],
        "joining": {"id": 2},
        "event": {"id": 7},
        "named": {"text": "hello"},
        "whisper": {"text": "hel"},
        "notification": {"id": "x", "type": "App\\Notifications\\Paid"},
        "leaving": {"id": 2},
    }


def _exported(env: str, folder: Path) -> dict[str, str]:
    """What the engine is started with by the page's commands, where Laravel has this `.env`."""
    (folder / "laravel").mkdir()
    (folder / "laravel" / ".env").write_text(env)
    take, start = (line.removeprefix("$ ") for line in snippets(PAGE, "console")[0].splitlines())
    command = "python -m engine --workers auto"
    assert command in start
    script = f"{take.replace('/path/to/laravel', 'laravel')}\n{start.replace(command, 'env -0')}"
    told = subprocess.run(
        ["sh", "-ec", script], cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, check=True
    )
    given = dict(line.split("=", 1) for line in told.stdout.decode().split("\0") if line)
    return {name: value for name, value in given.items() if name.startswith(("REVERB_", "REDIS_"))}


def _loaded(environ: dict[str, str], folder: Path, with_redis: bool = False) -> Loaded:
    """The page's configuration, with what it adds for several machines or without."""
    config, redis = snippets(PAGE, "json")
    whole = json.loads(config) | (json.loads("{" + redis + "}") if with_redis else {})
    (file := folder / "config.json").write_text(json.dumps(whole))
    return load(file, environ, 2)
