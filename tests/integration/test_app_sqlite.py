"""Applications in a SQLite file that are edited while the engine serves them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.cli import edit_apps
from engine.config.loading.load import load
from tests.support.client import connected
from tests.support.engine import Engine, running
from tests.support.waiting import wait_until


def publish(engine: Engine, app_id: str, secret: str) -> int:
    event = {"name": "e", "channels": ["room"], "data": "{}"}
    return engine.request("POST", "/events", event, app_id=app_id, key=f"key-{app_id}", secret=secret).status


def test_what_is_edited_is_served_at_once(tmp_path: Path) -> None:
    apps = {"driver": "sqlite", "refresh_ms": 50, "array": {"apps": []}}
    database = {"sqlite": {"path": str(tmp_path / "apps.sqlite3")}}
    settings = tmp_path / "settings.toml"
    settings.write_text(f'app_manager.driver = "sqlite"\ndatabase.sqlite.path = "{database["sqlite"]["path"]}"\n')
    config = load(settings, {}, 1).config
    edit_apps.add(config, "steady", "key-steady", "s", [])
    with running({"app_manager": apps, "database": database}, 1) as engine:
        edit_apps.add(config, "shop", "key-shop", "first", [])
        wait_until(lambda: publish(engine, "shop", "first") == 200, 30.0, engine.log)

        async def scenario() -> int:
            async with connected(engine.ws_url, "key-shop", "first") as client:
                edit_apps.enable(config, "shop", enabled=False)
                return await client.wait_closed()

        assert asyncio.run(scenario()) == 4003
        edit_apps.remove(config, "shop")
        wait_until(lambda: publish(engine, "shop", "first") == 404, 30.0, engine.log)
        assert publish(engine, "steady", "s") == 200
