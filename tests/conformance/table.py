"""The whole table, and the rules of docs/protocol.md 1 to 5 that are not in it, each with the reason."""

from __future__ import annotations

from tests.conformance.rule import Rule
from tests.conformance.tables import (
    client_events,
    connecting,
    delivering,
    frames,
    history,
    libraries,
    names,
    presence,
    presence_history,
    publishing,
    reading,
    refusing,
    signing,
    subscribing,
    users,
)

SECTIONS: dict[str, tuple[Rule, ...]] = {
    "connecting": connecting.RULES,
    "frames": frames.RULES,
    "names": names.RULES,
    "subscribing": subscribing.RULES,
    "presence": presence.RULES,
    "delivering": delivering.RULES,
    "client events": client_events.RULES,
    "users": users.RULES,
    "publishing": publishing.RULES,
    "reading": reading.RULES,
    "history": history.RULES,
    "presence history": presence_history.RULES,
    "signing": signing.RULES,
    "refusing": refusing.RULES,
    "libraries": libraries.RULES,
}
RULES: tuple[Rule, ...] = tuple(each for rules in SECTIONS.values() for each in rules)

_PROSE = "says what others do, or where text comes from; nothing to ask a server"
_CLIENT = "is about a client library"
#: The last number of each letter in docs/protocol.md 1 to 5.
NUMBERED = {"C": 34, "N": 45, "E": 10, "U": 16, "H": 79}
ELSEWHERE: dict[str, str] = {
    "C-8": "needs a server that drains: tests/integration/test_shutdown.py",
    "C-9": _CLIENT,
    "C-25": "every row of C-6, C-27 and C-33 checks it",
    "C-28": _CLIENT,
    "C-29": "every row that closes names its code",
    "C-34": _PROSE,
    "N-45": "needs publishes that go on meanwhile: tests/integration/test_replay.py",
    "N-25": _CLIENT,
    "N-34": "the key never reaches the server; the row of N-33 with pusher-js uses it",
    "E-10": "needs a webhook endpoint: tests/integration/test_http_sdks.py",
    "U-5": _CLIENT,
    "U-6": _PROSE,
    "U-7": "needs minutes of waiting",
    "U-16": _PROSE,
    "H-1": "every row of section 5",
    "H-2": _CLIENT,
    "H-19": _PROSE,
    "H-25": _PROSE,
    "H-28": _PROSE,
    "H-35": "the rows of H-6",
    "H-50": "needs a server that stops: tests/integration/test_shutdown.py",
    "H-55": _PROSE,
    "H-63": "is on another port: tests/metrics",
    "H-64": _PROSE,
    "H-65": _PROSE,
    "H-77": "needs workers that die: tests/integration/test_presence_history.py",
    "H-74": "needs a server without its Redis: tests/integration/test_history.py",
}
