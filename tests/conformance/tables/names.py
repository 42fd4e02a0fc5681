"""docs/protocol.md 2.1: names of channels and what kind each makes (N-1 to N-5)."""

from __future__ import annotations

from tests.conformance.match import ANY
from tests.conformance.rule import (
    LIMITED,
    Rule,
    Step,
    Subscribe,
    connect,
    gets,
    joins,
    publish,
    refused_subscription,
    roster,
    rule,
    succeeded,
)
from tests.conformance.rule import Gets as GetsFrame

MISS = "pusher:cache_miss"
#: Prefix -> whether it needs a signature, has members, and remembers (N-1).
KINDS = {
    "": (False, False, False),
    "cache-": (False, False, True),
    "private-": (True, False, False),
    "private-cache-": (True, False, True),
    "private-encrypted-": (True, False, False),
    "private-encrypted-cache-": (True, False, True),
    "presence-": (True, True, False),
    "presence-cache-": (True, True, True),
}
#: Names that look like another kind (N-2).
PLAIN = (
    "my-cache-~",
    "privateer-~",
    "presences-~",
    "private_~",
    "x-private-~",
    "Private-~",
    "cached-~",
    "encrypted-~",
    "presence~",
)


def kind(prefix: str, auth: bool, members: bool, cached: bool) -> tuple[Rule, ...]:
    name = f"{prefix}~"
    member = {"user_id": "u"} if members else None
    data = roster(1, ANY) if members else "{}"
    steps: list[Step] = [*connect("a"), *joins("a", name, member, data)]
    if cached:
        steps.append(gets("a", MISS, "{}", channel=name))
    accepted = rule("N-1", f"{prefix or 'no prefix'}: {'signed' if auth else 'joined freely'}", *steps)
    if not auth:
        return (accepted,)
    unsigned = Subscribe("a", name, member, auth="")
    return (
        accepted,
        rule(
            "N-1",
            f"{prefix}: not without a signature",
            connect("a"),
            unsigned,
            refused_subscription("a", name),
            free=True,
        ),
    )


def allowed(words: str, name: str) -> Rule:
    return rule(
        "N-3", words, connect("a"), joins("a", name), publish(name, "e", "d"), gets("a", "e", "d", channel=name)
    )


def refused(id_: str, words: str, name: str, app: str = "main") -> tuple[Rule, Rule]:
    return (
        rule(
            id_,
            f"{words}: not subscribed",
            connect("a"),
            Subscribe("a", name),
            gets("a", "pusher:subscription_error", channel=name),
            app=app,
            free=True,
        ),
        rule(id_, f"{words}: not published", publish(name, statuses=(400,)), app=app),
    )


RULES = (
    *(each for prefix, traits in KINDS.items() for each in kind(prefix, *traits)),
    *(rule("N-2", f"{name.replace('~', '…')} is a public channel", connect("a"), joins("a", name)) for name in PLAIN),
    rule(
        "N-2",
        "private-cache- is not joined without a signature",
        connect("a"),
        Subscribe("a", "private-cache-~", auth="<key>:" + "a" * 64),
        refused_subscription("a", "private-cache-~"),
        free=True,
    ),
    rule(
        "N-2",
        "presence-cache- has members",
        connect("a"),
        joins("a", "presence-cache-~", {"user_id": "u"}, roster(1, {"u": ANY})),
    ),
    allowed("letters, digits and _ - = @ , . ;", "Az09_-=@,.;~"),
    allowed("a colon too", "App:chat:~"),
    *refused("N-3", "a blank", "a b"),
    *refused("N-3", "a slash", "a/b"),
    *refused("N-3", "a letter that is not ASCII", "zoë"),
    *refused("N-3", "#", "#server-room"),
    *refused("N-3", "a new line at the end", "room\n"),
    allowed("200 characters", "x" * 200),
    *refused("N-4", "201 characters", "x" * 201),
    *refused("N-4", "one more than the app's own limit", "x" * 51, LIMITED),
    rule(
        "N-4", "an empty name is not subscribed", connect("a"), Subscribe("a", ""), gets("a", "pusher:error"), free=True
    ),
    rule("N-4", "nor published to", publish("", statuses=(400,))),
    *(
        rule(
            "N-5",
            f"{words} as user id",
            connect("a"),
            Subscribe("a", "presence-~", {"user_id": user}),
            GetsFrame("a", succeeded("presence-~", roster(1, {user: ANY}))),
        )
        for words, user in {
            "an e-mail address": "ada+chat@example.com",
            "a UUID": "0b5cb0c4-72b5-4f9e-8fd8-7ad3f7f1f5a1",
            "Unicode": "Zoë ☃",
        }.items()
    ),
)
