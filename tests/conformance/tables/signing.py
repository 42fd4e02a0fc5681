"""docs/protocol.md 5.1 and the first half of 5.8: who may call (H-1 to H-10, H-31 to H-36, H-46 to H-52)."""

from __future__ import annotations

from typing import Any

from tests.conformance.match import ABSENT, ANY, Exactly, Matches, OneOf
from tests.conformance.rule import (
    DISABLED,
    MAIN,
    PAUSED,
    Call,
    Rule,
    connect,
    get,
    joins,
    post,
    publish,
    rule,
)

ERROR = {"error": Matches(".+"), "code": Matches("[a-z_]+"), "status": ANY}
NAMES = "presence-a,b;c@d=e.f"


def refused(id_: str, words: str, status: int = 401, app: str = MAIN, **more: Any) -> tuple[Rule, ...]:
    """The same for a read and a publish."""
    answer = ERROR | {"status": status}
    return (
        rule(id_, f"{words}: GET", get("/channels", answer, status, **more), app=app),
        rule(id_, f"{words}: POST", publish("~", statuses=(status,), answer=answer, **more), app=app),
    )


RULES = (
    rule("H-3", "all parameters of authentication", get("/channels")),
    *(
        rule("H-3", f"without {name}: 401", publish("~", statuses=(401,), changed={name: None}))
        for name in ("auth_key", "auth_timestamp", "auth_version", "auth_signature", "body_md5")
    ),
    rule("H-3", "another auth_version: 401", publish("~", statuses=(401,), changed={"auth_version": "2.0"})),
    rule(
        "H-4",
        "values are signed as they are, not URL-encoded",
        get("/channels", {"channels": Exactly({})}, filter_by_prefix="presence-ä/&=? ~", info="user_count"),
    ),
    rule(
        "H-4",
        "keys are signed in lower case",
        Call(
            "GET",
            "/channels",
            params={"info": "user_count", "filter_by_prefix": "presence-~"},
            changed={"info": None, "Info": "user_count"},
        ),
    ),
    rule(
        "H-5",
        "a comma in the query",
        get("/channels/presence-~", {"user_count": 0, "subscription_count": 0}, info="user_count,subscription_count"),
    ),
    rule(
        "H-5",
        "an array is signed as its values with commas",
        Call(
            "GET",
            "/channels/presence-~",
            answer={"user_count": 0, "subscription_count": 0},
            params={"info": "user_count,subscription_count"},
            changed={"info": None, "info[0]": "user_count", "info[1]": "subscription_count"},
        ),
        free=True,
    ),
    rule(
        "H-5",
        "names in a path, as libraries write them",
        connect("a"),
        joins("a", f"{NAMES}~", {"user_id": "u"}),
        get(f"/channels/{NAMES}~", {"occupied": True}),
    ),
    rule(
        "H-5",
        "names in a path, escaped by a proxy after signing",
        connect("a"),
        joins("a", "presence-a,~", {"user_id": "u"}),
        get("/channels/presence-a%2C~", {"occupied": True}, signed_path="/apps/<id>/channels/presence-a,~"),
        free=True,
    ),
    *refused("H-6", "a timestamp 601 s old", age_s=601 + 5),
    *refused("H-6", "a timestamp 601 s ahead", age_s=-601 - 5),
    rule("H-6", "595 s are still allowed", get("/channels", age_s=595), get("/channels", age_s=-595)),
    rule(
        "H-6",
        "what should have been signed is told",
        publish(
            "~",
            statuses=(401,),
            secret="wrong",
            answer={
                "error": Matches(
                    r'Invalid signature: you should have sent HmacSHA256Hex\("POST\\n/apps/.*", your_secret_key\), '
                    'but you sent ".*"'
                )
            },
        ),
        free=True,
    ),
    rule(
        "H-7",
        "GET with the MD5 of nothing, as the Python library sends it",
        Call("GET", "/channels", params={"body_md5": "d41d8cd98f00b204e9800998ecf8427e"}, answer={"channels": ANY}),
    ),
    rule("H-8", "a body without body_md5: 401", publish("~", statuses=(401,), changed={"body_md5": None})),
    rule(
        "H-8",
        "an empty POST with the MD5 of nothing",
        Call("POST", "/users/~/terminate_connections", params={"body_md5": "d41d8cd98f00b204e9800998ecf8427e"}),
    ),
    rule("H-9", "the same request twice is no mistake", get("/channels", age_s=7), get("/channels", age_s=7)),
    rule("H-10", "success is 200 with a JSON object", publish("~", statuses=(200,), answer={})),
    *refused("H-31", "unknown app", 404, app_id="nobody-has-this-id"),
    *refused("H-32", "unknown auth_key", changed={"auth_key": "nobody"}),
    rule("H-33", "the key of another app: 401", get("/channels", status=401, app_id="1"), app=PAUSED),
    *refused("H-34", "another secret", secret="guessed"),
    *refused("H-34", "no parameters at all", unsigned=True),
    *refused("H-34", "a signature that is none", changed={"auth_signature": "x"}),
    rule("H-34", "a path that was not signed: 401", get("/channels", status=401, signed_path="/apps/<id>/events")),
    rule(
        "H-36",
        "a wrong body_md5: 401",
        Call("POST", "/events", {"name": "e", "channel": "~", "data": ""}, (401,), params={"body_md5": "0" * 32}),
    ),
    *refused("H-46", "the app is disabled", 403, app=DISABLED),
    rule(
        "H-47",
        "more publishes in a second than allowed: 429",
        publish(["~", "~2"], statuses=(200, 429)),
        publish(
            ["~", "~2"],
            statuses=(429,),
            headers={"retry-after": Matches("[0-9]+"), "x-ratelimit-limit": "2", "x-ratelimit-remaining": ANY},
            answer=ERROR,
            eventually=True,
        ),
        app=PAUSED,
    ),
    rule(
        "H-47",
        "more reads in a second than allowed: 429",
        get(
            "/channels",
            status=429,
            eventually=True,
            headers={"retry-after": Matches("[0-9]+"), "x-ratelimit-limit": "2"},
        ),
        app=PAUSED,
    ),
    rule("H-48", "an unknown path: 404", get("/nothing", status=404), post("/nothing", {}, 404)),
    rule(
        "H-49",
        "another method: 405, with Allow",
        Call("PUT", "/events", {}, (405,), headers={"allow": Matches(".*POST.*")}),
        Call("POST", "/channels", {}, (405,), headers={"allow": Matches(".*GET.*")}),
        free=True,
    ),
    rule(
        "H-51",
        "an error is an object with error, code and status",
        publish("~", secret="wrong", statuses=(401,), answer=ERROR | {"status": 401}),
        free=True,
    ),
    rule("H-52", "no rate-limit headers without a limit", publish("~", headers={"retry-after": ABSENT}), free=True),
    rule(
        "H-10",
        "an error is told as JSON, for .NET",
        publish(
            "",
            statuses=(400,),
            answer={"error": ANY},
            headers={"content-type": OneOf(("application/json", "application/json; charset=utf-8"))},
        ),
    ),
)
