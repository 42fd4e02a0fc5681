"""docs/protocol.md 5.4 to 5.7 and 5.9: channels, users, termination, unsigned pages (H-23 to H-30, H-53 to H-66)."""

from __future__ import annotations

from tests.conformance.match import ABSENT, ANY, AnyOrder, Exactly, Number, OneOf
from tests.conformance.rule import (
    Call,
    Closed,
    connect,
    get,
    gets,
    joins,
    post,
    publish,
    rule,
    signs_in,
)

ROOM = "presence-~"


def page(path: str, answer: object = ANY, *statuses: int, **more: object) -> Call:
    return Call("GET", f"/{path}", None, statuses or (200,), answer, unsigned=True, **more)  # type: ignore[arg-type]


MEMORY = {
    "memory": {"free": Number(0, 1e15), "used": Number(0, 1e15), "total": Number(1, 1e15), "percent": Number(0, 100)}
}

RULES = (
    rule(
        "H-23",
        "only occupied channels, by prefix",
        connect("a", "b"),
        joins("a", "~1"),
        joins("b", "~2"),
        joins("a", "other-~"),
        get("/channels", {"channels": Exactly({"~1": {}, "~2": {}})}, filter_by_prefix="~"),
        free=True,
    ),
    rule(
        "H-23",
        "with user_count",
        connect("a", "b"),
        joins("a", ROOM, {"user_id": "u"}),
        joins("b", ROOM, {"user_id": "u"}),
        get("/channels", {"channels": {ROOM: {"user_count": 1}}}, filter_by_prefix=ROOM, info="user_count"),
    ),
    rule(
        "H-23", "an empty list is an object", get("/channels", {"channels": Exactly({})}, filter_by_prefix="nobody-~")
    ),
    rule(
        "H-23",
        "without a filter all are listed",
        connect("a"),
        joins("a", "~"),
        get("/channels", {"channels": {"~": ANY}}),
    ),
    rule("H-24", "user_count needs a presence- prefix", get("/channels", status=400, info="user_count")),
    rule(
        "H-24",
        "and another prefix does not do",
        get("/channels", status=400, info="user_count", filter_by_prefix="private-"),
    ),
    rule("H-26", "occupied", connect("a"), joins("a", "~"), get("/channels/~", {"occupied": True})),
    rule("H-26", "never 404: an unknown channel is not occupied", get("/channels/nobody-~", {"occupied": False})),
    rule(
        "H-26",
        "asked counts are 0 there",
        get(
            "/channels/presence-nobody-~",
            {"occupied": False, "user_count": 0, "subscription_count": 0},
            info="user_count,subscription_count",
        ),
    ),
    rule(
        "H-26",
        "attributes come only when asked for",
        connect("a"),
        joins("a", ROOM, {"user_id": "u"}),
        get(f"/channels/{ROOM}", {"occupied": True, "user_count": ABSENT, "subscription_count": ABSENT}),
        free=True,
    ),
    rule(
        "H-27",
        "user_count of a channel that is no presence channel: 400",
        get("/channels/~", status=400, info="user_count"),
    ),
    rule(
        "H-27",
        "cache: data and seconds left",
        publish("cache-~", "e", "d\ud83d"),
        get("/channels/cache-~", {"cache": {"data": "d\ud83d", "ttl": Number(1, 3600)}}, info="cache"),
    ),
    rule("H-27", "cache: null when there is none", get("/channels/cache-~", {"cache": None}, info="cache")),
    rule(
        "H-29",
        "users: distinct ids as text",
        connect("a", "b", "c"),
        joins("a", ROOM, {"user_id": 1}),
        joins("b", ROOM, {"user_id": "1"}),
        joins("c", ROOM, {"user_id": "2"}),
        get(f"/channels/{ROOM}/users", {"users": AnyOrder(({"id": "1"}, {"id": "2"}))}),
    ),
    rule("H-29", "an empty one", get(f"/channels/{ROOM}/users", {"users": []})),
    rule("H-29", "other channels: 400", get("/channels/~/users", status=400)),
    rule(
        "H-30",
        "terminating answers an empty object",
        post("/users/~/terminate_connections", {}, answer=Exactly({})),
        free=True,
    ),
    rule(
        "H-30",
        "the Python library's path, without the app",
        connect("a"),
        signs_in("a"),
        Call("POST", "//users/~user/terminate_connections", {}, answer={}),
        Closed("a", (4009,)),
        needs="user sign-in",
        free=True,
    ),
    rule(
        "H-30",
        "an empty body will do",
        connect("a"),
        signs_in("a"),
        Call("POST", "/users/~user/terminate_connections", answer={}),
        gets("a", "pusher:error"),
        needs="user sign-in",
    ),
    rule("H-57", "GET / says OK", page("/", "OK"), free=True),
    rule("H-58", "GET /ready", page("/ready", "OK"), free=True),
    rule(
        "H-59",
        "GET /accept-traffic tells the memory",
        page(
            "/accept-traffic", {"memory": {"usedSize": ANY, "totalSize": ANY, "percentUsage": Number(0, 100)}}, 200, 503
        ),
        free=True,
    ),
    rule("H-60", "GET /live", page("/live"), free=True),
    rule("H-61", "GET /up says OK, in a header too", page("/up", "OK", headers={"x-health-check": "OK"}), free=True),
    rule("H-61", "GET /up/{app}", page("/up/<id>", "OK"), free=True),
    rule(
        "H-61",
        "GET /up of an unknown app: 404",
        page("/up/nobody-~", "NOT_FOUND", 404, headers={"x-health-check": "NOT_FOUND"}),
        free=True,
    ),
    rule("H-62", "GET /usage tells bytes", page("/usage", MEMORY), free=True),
    rule("H-66", "/usage is on the main port", page("/usage", {"memory": ANY}), free=True),
    rule(
        "H-53",
        "a browser may read",
        get(
            "/channels",
            headers={"access-control-allow-origin": OneOf(("*", "https://a.example"))},
            sent_headers={"Origin": "https://a.example"},
        ),
        free=True,
    ),
    rule(
        "H-53",
        "OPTIONS is answered",
        Call(
            "OPTIONS",
            "/channels",
            None,
            (200, 204),
            headers={"access-control-allow-methods": ANY, "access-control-allow-headers": ANY},
            unsigned=True,
            sent_headers={"Origin": "https://a.example"},
        ),
        free=True,
    ),
)
