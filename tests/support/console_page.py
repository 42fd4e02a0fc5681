"""What is done on the page of a console, in a browser. It judges only what the page shows."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.support.browser import Page
from tests.support.engine import Engine
from tests.support.waiting import until


async def edit_applications(page: Page, engine: Engine, password: str, screenshots: Path) -> None:
    """Whose applications are in a file, from its login to the removal of one that was added."""
    await page.open(f"http://127.0.0.1:{engine.config['console']['port']}/#apps")
    await page.wait("!document.getElementById('login').hidden")
    await type_password(page, password)
    await page.wait("!document.getElementById('add-app').hidden")
    await page.value("document.getElementById('new-app').value = 'shop'")
    await click(page, "#add-app button")
    await page.wait("document.getElementById('said').textContent == 'shop: added'")
    made = str(await page.value("document.querySelector('#secret pre').textContent"))
    key, secret = (line.partition("=")[2] for line in made.splitlines()[1:])
    await page.screenshot(screenshots / "console-apps.png")
    # What it shows is what the engine asks for.
    await until(lambda: asyncio.to_thread(lambda: _publishes(engine, "shop", key, secret)))
    for button, said in (
        ("New secret for shop", "shop: the secret before this one is accepted too"),
        ("End rotation of shop", "shop: only its present secret is accepted now"),
        ("Disable shop", "shop: disabled"),
        ("Remove shop", ""),
    ):
        await click(page, f'[aria-label="{button}"]')
        if said:
            await page.wait(f"document.getElementById('said').textContent == {json.dumps(said)}")
    await page.value("document.activeElement.click()")
    await page.wait("document.getElementById('said').textContent == 'shop: removed'")
    assert secret not in engine.log()
    assert "application shop was removed, asked by 127.0.0.1" in engine.log()


def _publishes(engine: Engine, app_id: str, key: str, secret: str) -> bool:
    event = {"name": "hello", "channels": ["room"], "data": "{}"}
    return engine.request("POST", "/events", event, app_id=app_id, key=key, secret=secret).status == 200


async def click(page: Page, selector: str) -> None:
    """As soon as it is there."""
    await page.wait(f"[...document.querySelectorAll({json.dumps(selector)})].some((each) => (each.click(), true))")


async def type_password(page: Page, password: str) -> None:
    await page.value(
        f"document.getElementById('password').value = {json.dumps(password)};"
        "document.querySelector('#login button').click()"
    )
