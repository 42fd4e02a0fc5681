"""The page for Django, followed as it stands: its commands make a project, its files are written into that."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from tests.support.client import connected
from tests.support.engine import ROOT, Engine, running
from tests.support.snippets import snippets
from tests.support.waiting import free_port, until, wait_until

NAME = "start-with-django.md"
PAGE = ROOT / "docs" / NAME
PASSWORD = "correct-horse"
#: The file that a text names last, and the block of Python behind it.
FILES = re.compile(r"`(\w+/\w+\.py)`[^`]*\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Project(NamedTuple):
    engine: Engine
    url: str
    folder: Path
    printed: Path
    environment: dict[str, str]

    def run(self, command: str) -> None:
        """A line of the page, with the Python that these tests have in the place of the page's own."""
        words = shlex.split(command)
        assert words[0].startswith("venv/bin/")
        words[0] = str(Path(sys.executable).with_name(words[0].removeprefix("venv/bin/")))
        subprocess.run(words, cwd=self.folder, env=self.environment, check=True, timeout=60, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """As the page makes it, and its server."""
    folder, port = tmp_path_factory.mktemp("django"), free_port()
    config = json.loads(snippets(NAME, "json")[0].replace("8001", str(port)))
    with running({"app_manager": config["app_manager"]}) as engine:
        environment = {**os.environ, "ENGINE_PORT": str(engine.port), "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
        made = Project(engine, f"http://127.0.0.1:{port}", folder, folder / "printed", environment)
        install, *commands = snippets(NAME, "sh")[0].splitlines()
        assert "pip install" in install
        for command in commands:
            made.run(command + (" --noinput" if "createsuperuser" in command else ""))
        _write_files(folder)
        server = [sys.executable, "manage.py", "runserver", "--noreload", str(port)]
        with made.printed.open("w") as out:
            process = subprocess.Popen(server, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            wait_until(lambda: _answers(made.url), what=made.printed.read_text)
            yield made
        finally:
            process.kill()
            process.wait()


def _write_files(folder: Path) -> None:
    text = PAGE.read_text()
    written = FILES.findall(text)
    assert len(written) == len(snippets(NAME, "python"))
    for name, code in written:
        # The settings are what Django made, and these lines.
        kept = (folder / name).read_text() if "At the end of" in text.partition(f"`{name}`")[0][-20:] else ""
        (folder / name).write_text(kept + code)
    page = (ROOT / "docs" / "getting-started" / "index.html").read_text().replace("test-channel", "presence-room")
    (line,) = snippets(NAME, "js")
    page = re.sub(r'( +cluster: "".*\n)', lambda found: found[1] + line, page)
    template = folder / "realtime" / "templates" / "index.html"
    template.parent.mkdir()
    template.write_text(page)


def _answers(url: str) -> bool:
    try:
        return requests.get(f"{url}/admin/login/", timeout=5).ok
    except OSError:
        return False


def test_a_user_joins_by_the_page_hears_an_event_and_is_told_of_by_webhooks(project: Project) -> None:
    asyncio.run(_walk(project))


async def _walk(project: Project) -> None:
    with requests.Session() as browser:
        page = await asyncio.to_thread(_log_in, browser, project.url)
        token = re.search(r'"X-CSRFToken": "(\w+)"', page)
        assert token is not None, page
        async with connected(project.engine.ws_url) as client:

            def authorize(channel: str) -> dict[str, str]:
                asked = {"socket_id": client.socket_id, "channel_name": channel}
                answer = browser.post(
                    f"{project.url}/pusher/auth", asked, headers={"X-CSRFToken": token[1]}, timeout=30
                )
                assert answer.status_code == 200, answer.text
                return dict(answer.json())

            for channel in ("private-room", "presence-room"):
                proof = await asyncio.to_thread(authorize, channel)
                await client.send("pusher:subscribe", {"channel": channel, **proof})
                joined = await client.next("pusher_internal:subscription_succeeded")
            assert json.loads(joined["data"])["presence"]["hash"] == {"1": {"name": "ada"}}
            (trigger,) = re.findall(r"^\$ (venv/\S+ manage\.py shell .*)$", PAGE.read_text(), re.MULTILINE)
            await asyncio.to_thread(project.run, trigger)
            assert json.loads((await client.next("greeting"))["data"]) == {"text": "hello"}
    heard = {f"member_{change} presence-room 1" for change in ("added", "removed")}
    await until(lambda: heard <= set(project.printed.read_text().splitlines()), what=project.printed.read_text)


def _log_in(browser: requests.Session, url: str) -> str:
    """What the first page says, to whoever is sent from there to log in."""
    browser.get(url, timeout=30)
    form = {"username": "ada", "password": PASSWORD, "next": "/", "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
    answer = browser.post(f"{url}/admin/login/", form, timeout=30)
    assert answer.url == f"{url}/", answer.text
    return answer.text


def test_nobody_else_is_let_in_or_believed(project: Project) -> None:
    for path, status in (("pusher/auth", 403), ("engine/webhooks", 401)):
        assert requests.post(f"{project.url}/{path}", b"{}", timeout=30).status_code == status
