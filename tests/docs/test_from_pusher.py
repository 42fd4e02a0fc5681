"""docs/migrating-from-pusher.md: what it gives to be pasted is what one application runs with here, over TLS."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from engine.config.loading.load import load
from tests.support.engine import Engine, running
from tests.support.node import CLIENTS, missing
from tests.support.receiver import WebhookReceiver
from tests.support.snippets import snippets

PAGE = "migrating-from-pusher.md"
#: Of the dashboard.
APP = {"PUSHER_APP_ID": "817263", "PUSHER_APP_KEY": "laq9cuhnwdxnjlmhgpwi", "PUSHER_APP_SECRET": "0pxyyy1r2ptjqlqurkcj"}
MASTER_KEY = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="


def test_its_configuration_takes_the_application_of_the_dashboard(tmp_path: Path) -> None:
    (text,) = snippets(PAGE, "json")
    (file := tmp_path / "config.json").write_text(text)
    found = load(file, APP, 2)
    assert found.warnings == ()
    (app,) = found.config.app_manager.array.apps
    assert (app.id, app.key, app.secret) == tuple(APP.values())
    (hook,) = app.webhooks
    assert "channel_vacated" in hook.event_types


@pytest.fixture
def engine(tmp_path: Path, receiver: WebhookReceiver) -> Iterator[Engine]:
    """With the page's configuration, but for the receiver's address, and a certificate of a private CA."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pair.pem")
    (text,) = snippets(PAGE, "json")
    config = json.loads(text.replace("https://app.example/pusher/webhooks", f"{receiver.url}/hook"))
    pair = str(tmp_path / "pair.pem")
    config["ssl"] = {"enabled": True, "cert_path": pair, "key_path": pair}
    with running(config, 2, env=APP, cafile=tmp_path / "ca.pem") as started:
        yield started


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_its_clients_and_back_ends_work_together(
    engine: Engine, receiver: WebhookReceiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = {"PUSHER_HOST": "127.0.0.1", "PUSHER_PORT": str(engine.port), "PUSHER_SCHEME": "https"}
    given = APP | where | {"PUSHER_MASTER_KEY": MASTER_KEY}
    client, back_end = snippets(PAGE, "js")
    places = {"APP_KEY": APP["PUSHER_APP_KEY"], "realtime.example.com": "127.0.0.1", "443": str(engine.port)}
    for there, here in places.items():
        assert there in client
        client = client.replace(there, here)
    (tmp_path / "client.mjs").write_text(client)
    (tmp_path / "back_end.mjs").write_text(back_end)
    (tmp_path / "node_modules").symlink_to(CLIENTS / "node_modules")
    with subprocess.Popen(
        ["node", CLIENTS / "from_pusher.mjs", tmp_path],
        env=dict(os.environ) | given | {"NODE_EXTRA_CA_CERTS": str(tmp_path / "ca.pem")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as scene:
        assert scene.stdin is not None
        assert scene.stdout is not None
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert scene.stdout.readline() == "joined\n"
        library = _back_end_in_python(tmp_path)
        assert library.trigger("presence-room", "from-python", {"text": "hello"}) == {}
        hooks = ["channel_occupied", "member_added", "client_event"]
        receiver.wait_for_names(hooks, "/hook", "presence-room")
        came, _ = scene.communicate("end it\n", 30)
    assert json.loads(came) == {
        "member": "ada",
        "events": {
            "greeting": {"text": "hello"},
            "from-python": {"text": "hello"},
            "secret": {"text": "hidden"},
            "kept": {"text": "kept"},
            "to-you": {"text": "you"},
        },
        "info": {"subscription_count": 1},
        "users": [{"id": "ada"}],
        "sent": True,
    }
    for request in receiver.to("/hook"):
        assert len(request.events) == 1
        told = library.validate_webhook(
            request.headers["x-pusher-key"], request.headers["x-pusher-signature"], request.body.decode()
        )
        assert told == request.json


def _back_end_in_python(folder: Path) -> Any:
    """The page's, which knows the private CA."""
    back_end, private_ca = snippets(PAGE, "python")
    assert "    ssl=" in back_end
    code = private_ca.replace("/path/ca.pem", str(folder / "ca.pem")) + back_end.replace(
        "    ssl=", "    backend=PrivateCa,\n    ssl="
    )
    namespace: dict[str, Any] = {}
    exec(code, namespace)
    return namespace["backend"]
