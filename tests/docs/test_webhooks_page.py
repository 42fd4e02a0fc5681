"""docs/webhooks.md: its first paragraph, its configurations, and its code in every language that is installed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.config.support import APP, loaded
from tests.support.engine import ROOT
from tests.support.signing import sign
from tests.support.snippets import python, snippets

PAGE = "webhooks.md"
SECRET = "7ad3773142a6692b25b8"
BODIES = [
    b'{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"my-channel"}]}',
    '{"time_ms":1678886400000,"events":[{"name":"member_removed","channel":"presence-lobby","user_id":"zoë"}]}'.encode(),
    b'{"time_ms":1,"events":[]}\n',
]
Verifier = Callable[[bytes, str, str], bool]


def in_python(folder: Path) -> Verifier:
    return python(PAGE)["is_genuine"]  # type: ignore[return-value]


def in_node(folder: Path) -> Verifier:
    (code,) = snippets(PAGE, "js")
    (folder / "verify.mjs").write_text(code)
    (folder / "main.mjs").write_text(
        'import { readFileSync } from "node:fs";\nimport { isGenuine } from "./verify.mjs";\n'
        "console.log(isGenuine(readFileSync(0), process.argv[2], process.argv[3]));\n"
    )
    return asked("node", str(folder / "main.mjs"))


def in_php(folder: Path) -> Verifier:
    (code,) = snippets(PAGE, "php")
    main = 'echo is_genuine(file_get_contents("php://stdin"), $argv[1], $argv[2]) ? "true" : "false";\n'
    (folder / "verify.php").write_text(code + main)
    return asked("php", str(folder / "verify.php"))


def asked(*command: str) -> Verifier:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")

    def ask(body: bytes, signature: str, secret: str) -> bool:
        done = subprocess.run([*command, signature, secret], input=body, capture_output=True, timeout=20, check=True)
        assert not done.stderr
        return {b"true": True, b"false": False}[done.stdout.strip()]

    return ask


@pytest.mark.parametrize("language", [in_python, in_node, in_php])
def test_verifiers(language: Callable[[Path], Verifier], tmp_path: Path) -> None:
    verify = language(tmp_path)
    for body in BODIES:
        digest = sign(SECRET, body)
        assert verify(body, f"sha256={digest}", SECRET)
        assert verify(body, digest, SECRET)
    body, digest = BODIES[0], sign(SECRET, BODIES[0])
    assert not verify(body + b" ", f"sha256={digest}", SECRET)
    assert not verify(body, f"sha256={digest}", SECRET + "x")
    for signature in ("", "sha256=", "sha256=test-signature", f"sha256={digest[:-1]}", f"sha256={digest}0", "ë" * 64):
        assert not verify(body, signature, SECRET)


def test_a_request_that_comes_twice_is_handled_once() -> None:
    page = python(PAGE)
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE webhooks (id TEXT PRIMARY KEY)")
        db.execute("CREATE TABLE users (id TEXT PRIMARY KEY, online BOOLEAN, seq INTEGER)")
        handled: list[str] = []
        page["process"] = lambda _, event: handled.append(event)
        handle: Any = page["handle"]
        for webhook_id in ("a", "b", "a", "a", "b"):
            handle(db, webhook_id, [f"{webhook_id}-1", f"{webhook_id}-2"])
        assert handled == ["a-1", "a-2", "b-1", "b-2"]

        page["process"] = lambda *_: 1 // 0
        with pytest.raises(ZeroDivisionError):
            handle(db, "c", ["c-1"])
        page["process"] = lambda _, event: handled.append(event)
        handle(db, "c", ["c-1"])
        assert handled[-1] == "c-1", "what failed is not noted as seen"


def test_users_end_in_their_newest_state_whatever_the_order() -> None:
    process: Any = python(PAGE)["process"]
    chance = random.Random(3)
    events = [
        {
            "name": "member_added" if seq // 2 % 2 == 0 else "member_removed",
            "channel": "presence-everybody",
            "user_id": f"user-{seq % 2}",
            "seq": seq,
        }
        for seq in range(10)
    ]
    others = [{"name": "member_removed", "channel": "presence-room", "user_id": "user-0", "seq": 99}]
    others += [{"name": "channel_vacated", "channel": "presence-everybody", "seq": 99}]
    for _ in range(20):
        with closing(sqlite3.connect(":memory:")) as db:
            db.execute("CREATE TABLE users (id TEXT PRIMARY KEY, online BOOLEAN, seq INTEGER)")
            for event in chance.sample(events * 2 + others, k=2 * len(events) + len(others)):
                process(db, event)
            assert db.execute("SELECT * FROM users ORDER BY id").fetchall() == [("user-0", 1, 8), ("user-1", 1, 9)]


def test_lambda_handler(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PUSHER_SECRET", SECRET)
    handler: Any = python(PAGE)["lambda_handler"]
    body = BODIES[1].decode()
    event = {"headers": {"X-Pusher-Signature": f"sha256={sign(SECRET, body)}"}, "body": body}
    assert handler(event, None) == {"statusCode": 200}
    assert capsys.readouterr().out == "member_removed presence-lobby\n"
    assert handler(event | {"body": body + " "}, None) == {"statusCode": 401}


def test_every_configuration_loads_without_a_word() -> None:
    for text in snippets(PAGE, "json"):
        shown = json.loads(text)
        if "events" in shown:
            continue
        if isinstance(shown.get("webhooks"), list):
            shown = {"app_manager": {"array": {"apps": [APP | shown]}}}
        # The application of these tests has the secret of the samples, which everybody knows.
        assert [line for line in loaded(shown).warnings if "a secret that everybody knows" not in line] == []


def test_the_first_paragraph_says_which_signature_is_sent() -> None:
    first = (ROOT / "docs" / PAGE).read_text().split("\n\n")[1]
    assert first.startswith("Every request carries the header `X-Pusher-Signature: sha256=<hex>`")
    assert '`"signature_format": "hex"`' in first


def test_every_metric_that_is_named_exists() -> None:
    from engine.metrics.metrics import Metrics

    known = {family.name for family in Metrics().families}
    text = (ROOT / "docs" / PAGE).read_text()
    table = text[text.index("| metric (after") : text.index("Worth an alarm")]
    named = {word for word in table.split("`")[1::2] if word.endswith(("_total", "_seconds", "_depth"))}
    assert named
    assert named <= known


def test_every_command_that_is_shown_exists() -> None:
    from engine.__main__ import main

    text = (ROOT / "docs" / PAGE).read_text()
    shown = {tuple(line.split()[4:6]) for line in text.splitlines() if line.startswith("$ python -m engine ")}
    assert ("webhooks", "failed") in shown
    for command in shown:
        with pytest.raises(SystemExit) as ended:
            main([*command, "--help"])
        assert ended.value.code == 0


def test_links() -> None:
    text = (ROOT / "docs" / PAGE).read_text()
    titles = [line.lstrip("# ").lower() for line in text.splitlines() if line.startswith("#")]
    headings = {re.sub(r"[^\w -]", "", title).replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if not target.startswith("https://"):
            assert target[1:] in headings if target[0] == "#" else os.path.exists(ROOT / "docs" / target), target
