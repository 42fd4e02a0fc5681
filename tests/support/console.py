"""Somebody who has logged in to an engine's console, over HTTP; what its page shows is for `console_page.py`."""

from __future__ import annotations

import http.client
import json
from typing import Any

from tests.support.engine import Engine
from tests.support.waiting import free_port

PASSWORD = "correct horse battery"


def options() -> dict[str, Any]:
    """Of the section `console`, at a free port."""
    return {"host": "127.0.0.1", "port": free_port(), "password": PASSWORD}


def answers(engine: Engine) -> bool:
    try:
        return engine.raw("GET", "/", port=engine.config["console"]["port"]).status == 200
    except OSError:
        return False


class Console:
    """Somebody who has logged in."""

    def __init__(self, engine: Engine) -> None:
        self.port: int = engine.config["console"]["port"]
        self.cookie = self.csrf = ""
        status, headers, found = self.request("POST", "login", {"password": PASSWORD})
        assert status == 200, found
        self.cookie, self.csrf = headers["Set-Cookie"].partition(";")[0], found["csrf"]

    def get(self, path: str) -> Any:
        status, _, found = self.request("GET", path)
        assert status == 200, found
        return found

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        status, _, found = self.request("POST", path, body)
        return status, found

    def look(self) -> Any:
        """The next look at the node."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/api/overview", headers={"Cookie": self.cookie})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            while not (line := answer.readline()).startswith(b"data: "):
                assert line
            return json.loads(line[6:])
        finally:
            connection.close()

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, Any, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            headers = {"Content-Type": "application/json", "Cookie": self.cookie, "X-CSRF-Token": self.csrf}
            connection.request(method, f"/api/{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, json.loads(answer.read())
        finally:
            connection.close()
