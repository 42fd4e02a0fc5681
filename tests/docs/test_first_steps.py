"""The pages that begin with a framework: their code is what runs here, against an engine with their configuration."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from engine.apps.build import build_apps
from engine.config.loading.load import load
from tests.support.client import connected
from tests.support.engine import ROOT, Engine, running
from tests.support.snippets import snippets
from tests.support.waiting import free_port, until, wait_until

PAGE = ROOT / "docs" / "getting-started" / "index.html"
MODULES = ROOT / "tests" / "clients" / "node_modules"
NODE = shutil.which("node") is not None and MODULES.is_dir()
#: Page -> the language of its back end, the file's name, and the program that runs it.
PAGES = {
    "start-with-python.md": ("python", "backend.py", [sys.executable]),
    "start-with-node.md": ("js", "backend.mjs", ["node"]),
}


class Backend(NamedTuple):
    port: int
    printed: Path


class Stage(NamedTuple):
    engine: Engine
    backends: dict[str, Backend]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One engine, with the webhooks of all pages."""
    folder = tmp_path_factory.mktemp("first-steps")
    ports = {page: free_port() for page in PAGES}
    apps = [_application(page, port) for page, port in ports.items()]
    merged = apps[0] | {"webhooks": [hook for app in apps for hook in app["webhooks"]]}
    with ExitStack() as stack:
        engine = stack.enter_context(running({"app_manager": {"array": {"apps": [merged]}}}))
        backends = {}
        for page, (language, name, program) in PAGES.items():
            if shutil.which(program[0]) is None:
                continue
            (folder / name).write_text(snippets(page, language)[0])
            shutil.copy(PAGE, folder)
            printed = folder / f"{name}.printed"
            environment = {**os.environ, "PORT": str(ports[page]), "ENGINE_PORT": str(engine.port)}
            with printed.open("w") as out:
                process = subprocess.Popen(
                    [*program, folder / name], env=environment, cwd=_beside_modules(folder), stdout=out, stderr=out
                )
            stack.callback(lambda process=process: (process.kill(), process.wait()))
            backends[page] = Backend(ports[page], printed)
        yield Stage(engine, backends)


def _application(page: str, port: int) -> Any:
    """Of the page's configuration, but for the port of its back end."""
    (text,) = snippets(page, "json")
    (app,) = json.loads(text)["app_manager"]["array"]["apps"]
    for hook in app["webhooks"]:
        hook["url"] = hook["url"].replace("8001", str(port))
    return app


def _beside_modules(folder: Path) -> Path:
    """Where a module of Node finds those of others."""
    link = folder / "node_modules"
    if MODULES.is_dir() and not link.exists():
        link.symlink_to(MODULES)
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_its_back_end_lets_in_publishes_and_hears(stage: Stage, page: str) -> None:
    if page not in stage.backends or (page == "start-with-node.md" and not NODE):
        pytest.skip("its language is not installed")
    asyncio.run(_walk(stage.engine, stage.backends[page]))


async def _walk(engine: Engine, backend: Backend) -> None:
    def ask(path: str, body: str, kind: str = "text/plain") -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{backend.port}{path}", body.encode(), {"Content-Type": kind}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{backend.port}/", timeout=30) as answer:
            assert answer.headers["Content-Type"].startswith("text/html")
            return str(answer.read().decode())

    await asyncio.to_thread(wait_until, lambda: _listens(backend.port), what=backend.printed.read_text)
    assert await asyncio.to_thread(page) == PAGE.read_text()
    async with connected(engine.ws_url) as client:
        for channel in ("private-room", "presence-room"):
            asked = urllib.parse.urlencode({"socket_id": client.socket_id, "channel_name": channel})
            proof = await asyncio.to_thread(ask, "/pusher/auth", asked, "application/x-www-form-urlencoded")
            await client.send("pusher:subscribe", {"channel": channel, **proof})
            joined = await client.next("pusher_internal:subscription_succeeded")
            assert joined["channel"] == channel
        assert json.loads(joined["data"])["presence"]["ids"] == ["ada"]
        await asyncio.to_thread(ask, "/say", "hello")
        assert json.loads((await client.next("greeting"))["data"]) == {"text": "hello"}
    heard = {f"channel_{change} private-room" for change in ("occupied", "vacated")}
    await until(lambda: heard <= set(backend.printed.read_text().splitlines()), what=backend.printed.read_text)
    with pytest.raises(urllib.error.HTTPError, match="401") as refused:
        await asyncio.to_thread(ask, "/webhooks", '{"time_ms":1,"events":[]}', "application/json")
    refused.value.close()


def _listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/nothing", b"", timeout=5).close()
    except urllib.error.HTTPError as refused:
        refused.close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("page", "language", "check"),
    [
        ("laravel.md", "php", ["php", "-l"]),
        ("start-with-rails.md", "ruby", ["ruby", "-c"]),
        ("start-with-go.md", "go", ["gofmt", "-d"]),
    ],
)
def test_its_files_can_be_read_by_their_language(page: str, language: str, check: list[str], tmp_path: Path) -> None:
    """Of those pages whose frameworks no registry in reach has; Go's in the form that its own tool gives them."""
    if shutil.which(check[0]) is None:
        pytest.skip(f"{check[0]} is not installed")
    for place, code in enumerate(snippets(page, language)):
        if language == "php" and not code.startswith("<?php"):
            continue
        (file := tmp_path / f"{place}.{language}").write_text(code)
        checked = subprocess.run([*check, file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert language != "go" or not checked.stdout


@pytest.mark.parametrize("page", ["start-with-rails.md", "start-with-go.md"])
def test_its_application_is_one_of_the_engine(page: str, tmp_path: Path) -> None:
    """The pages that are not executed: what they configure is read, as the engine reads it."""
    (text,) = snippets(page, "json")
    (file := tmp_path / "settings.json").write_text(text)
    (app,) = build_apps(load(file, {}, 1, {}).config)
    assert [endpoint.signature_format for endpoint in app.endpoints] == ["hex"]


def test_the_files_for_laravel_import_what_they_name() -> None:
    """Without its line a name is looked for in the file's own namespace, and the page fails as pasted."""
    for code in snippets("laravel.md", "php"):
        if code.startswith(("->", "Broadcast::")):
            continue  # lines of a file that Laravel made, and of its shell, where these names are known
        imported = {name.rpartition("\\")[2] for name in re.findall(r"^use ([\w\\]+);", code, re.MULTILINE)}
        defined = {*re.findall(r"\bclass (\w+)", code), "EngineEvent"}
        named = {*re.findall(r"\b([A-Z]\w+)::", code), *re.findall(r"[(,|] ?([A-Z]\w+) \$", code)}
        named |= {*re.findall(r"\bextends (\w+)", code), *re.findall(r"\): ([A-Z]\w+)", code)}
        assert named <= imported | defined, sorted(named - imported - defined)
