"""A rule of the protocol as data: what is done, in steps, and what must come back.

Read by the tables, acted on by `play.py`. In every text of a step, ``~`` stands for something that no other rule uses,
``<a>`` for the socket id of the client ``a``, ``<key>`` for the key of the app, and ``<id>`` for its id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.conformance.match import ANY, JsonText

#: Applications that rules are played on; `topologies.py` configures them, another server has ``main`` only.
MAIN, LIMITED, QUIET, DISABLED, ORIGINS, COUNTED, FULL, PAUSED, SECURE, KEPT = (
    "main",
    "limited",
    "quiet",
    "disabled",
    "origins",
    "counted",
    "full",
    "paused",
    "secure",
    "kept",
)
NO_DATA = object()


@dataclass(frozen=True, slots=True)
class Signed:
    """``key:hex`` over `text`, with the app's key and secret unless others are given."""

    text: str
    key: str | None = None
    secret: str | None = None
    upper: bool = False


@dataclass(frozen=True, slots=True)
class Connect:
    """Open a connection. :param first: what its first frame must be. :param early: texts sent before any frame came."""

    who: str
    first: Any
    key: str
    query: str
    headers: dict[str, str]
    early: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Send:
    """:param message: an object, or text (sent as it is), or bytes (a binary frame)."""

    who: str
    message: Any


@dataclass(frozen=True, slots=True)
class Subscribe:
    """A subscribe message, signed as the name demands unless `auth` says otherwise. What comes back is another step."""

    who: str
    channel: str
    member: Any = None
    auth: Any = None


@dataclass(frozen=True, slots=True)
class SignIn:
    who: str
    user: Any
    auth: Any = None


@dataclass(frozen=True, slots=True)
class Gets:
    """The next frame of this event (and channel, if the pattern names it) is like this; others are left for later."""

    who: str
    frame: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Next:
    """The very next frames, in this order; pings of the server apart."""

    who: str
    frames: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Silent:
    """It is open, answers a ping, and nothing else has come."""

    who: str


@dataclass(frozen=True, slots=True)
class Closed:
    who: str
    codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Leave:
    """The client closes."""

    who: str


@dataclass(frozen=True, slots=True)
class Call:
    """An HTTP request and its answer.

    :param path: below ``/apps/<id>``, unless it begins with two slashes: then all of it.
    :param params: signed parameters. :param changed: replaced after signing; None takes one away.
    :param signed_path: what is signed where that is not the path.
    :param eventually: asked again until it is so, for what follows from something that nobody acknowledges.
    """

    method: str
    path: str
    body: Any = None
    statuses: tuple[int, ...] = (200,)
    answer: Any = ANY
    params: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str | None] = field(default_factory=dict)
    secret: str | None = None
    app_id: str | None = None
    signed_path: str | None = None
    age_s: int = 0
    unsigned: bool = False
    headers: Any = field(default_factory=dict)
    sent_headers: dict[str, str] = field(default_factory=dict)
    eventually: bool = False


@dataclass(frozen=True, slots=True)
class Library:
    """A call of an official library: ``python`` (pusher-http-python), ``pusher``, ``echo`` or ``server`` (JavaScript).

    :param raises: part of the error that it must raise.
    """

    name: str
    args: dict[str, Any]
    result: Any = ANY
    raises: str = ""


Step = Connect | Send | Subscribe | SignIn | Gets | Next | Silent | Closed | Leave | Call | Library


@dataclass(frozen=True, slots=True)
class Rule:
    """One row. :param free: servers differ and no official library minds, so that another server may fail it.

    :param needs: what another server has to be configured for; such rows are skipped there.
    :param slow: it waits for tens of seconds.
    """

    id: str
    words: str
    steps: tuple[Step, ...]
    app: str = MAIN
    free: bool = False
    needs: str = ""
    slow: bool = False


def rule(id_: str, words: str, *steps: Step | tuple[Step, ...], **more: Any) -> Rule:
    flat: list[Step] = []
    for step in steps:
        flat += step if isinstance(step, tuple) else (step,)
    return Rule(id_, words, tuple(flat), **more)


# --- the words in which tables are written

ESTABLISHED = {"event": "pusher:connection_established"}
QUERY = "protocol=7&client=js&version=8.6.0&flash=false"


def connect(
    *who: str, first: Any = None, query: str = QUERY, early: tuple[str, ...] = (), **headers: str
) -> tuple[Connect, ...]:
    return tuple(Connect(each, first or ESTABLISHED, "<key>", query, headers, early) for each in who)


def turned_away(code: int, key: str = "<key>", query: str = QUERY, **headers: str) -> tuple[Step, ...]:
    """The upgrade succeeds, an error frame comes first, and the code is the close code (C-6, C-25)."""
    first = {"event": "pusher:error", "data": {"code": code, "message": ANY}}
    return (Connect("a", first, key, query, headers), Closed("a", (code,)))


def send(who: str, event: str, data: Any = NO_DATA, channel: str | None = None, **more: Any) -> Send:
    message = {"event": event} | ({} if data is NO_DATA else {"data": data}) | more
    return Send(who, message if channel is None else message | {"channel": channel})


def joins(who: str, channel: str, member: Any = None, data: Any = ANY) -> tuple[Step, ...]:
    """Subscribe and be acknowledged."""
    return (Subscribe(who, channel, member), Gets(who, succeeded(channel, data)))


def signs_in(who: str, user: str = "~user", **more: Any) -> tuple[Step, ...]:
    return (SignIn(who, {"id": user, **more}), Gets(who, {"event": "pusher:signin_success"}))


def gets(who: str, event: str, data: Any = ANY, **more: Any) -> Gets:
    return Gets(who, {"event": event, "data": data, **more})


def succeeded(channel: str, data: Any = "{}") -> dict[str, Any]:
    return {"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": data}


def roster(count: int, hash_: Any) -> JsonText:
    """`data` of a presence channel's acknowledgement."""
    return JsonText({"presence": {"ids": ANY, "hash": hash_, "count": count}})


def refused_subscription(who: str, channel: str, status: Any = 401, error: Any = ANY) -> Gets:
    return gets(who, "pusher:subscription_error", {"type": ANY, "error": error, "status": status}, channel=channel)


def publish(channels: Any, event: str = "e", data: Any = "{}", **more: Any) -> Call:
    """POST /events with one channel or a list of them. Members of `Call` go there, all others into the body."""
    settings = {name: more.pop(name) for name in list(more) if name in Call.__dataclass_fields__}
    names = [channels] if isinstance(channels, str) else channels
    return Call("POST", "/events", {"name": event, "channels": names, "data": data, **more}, **settings)


def get(path: str, answer: Any = ANY, status: int = 200, **more: Any) -> Call:
    info = {name: str(more.pop(name)) for name in ("info", "filter_by_prefix") if name in more}
    return Call("GET", path, None, (status,), answer, more.pop("params", {}) | info, **more)


def post(path: str, body: Any, status: int = 200, answer: Any = ANY, **more: Any) -> Call:
    return Call("POST", path, body, (status,), answer, **more)
