"""Calls of the official libraries, as steps of rules. Used by `play.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pusher

from tests.conformance.rule import Library
from tests.support.node import NodeJs

if TYPE_CHECKING:
    from tests.conformance.play import App


def python(_: NodeJs | None, url: str, app: App, step: Library) -> Any:
    """``python.<method>`` of pusher-http-python, with `args` as its keyword arguments."""
    parts = urlsplit(url)
    client = pusher.Pusher(
        app.id, app.key, app.secret, host=parts.hostname, port=parts.port, ssl=parts.scheme == "https", timeout=10
    )
    return getattr(client, step.name.removeprefix("python."))(**step.args)


def javascript(node: NodeJs | None, url: str, app: App, step: Library) -> Any:
    """A function of ``tests/clients``, told where the server is and which app to use."""
    assert node is not None
    parts = urlsplit(url)
    args = {name: value for name, value in step.args.items() if name != "who"}
    where = {"host": parts.hostname, "port": parts.port, "tls": parts.scheme == "https"}
    return node(
        step.name, app={"id": app.id, "key": app.key, "secret": app.secret, **args.pop("app", {})}, **where, **args
    )
