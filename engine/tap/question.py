"""What a console asks the workers of other nodes, as it travels over the Redis that they share.

Pure; no secret has a place here.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import orjson

from engine.errors import ConfigError

#: Behind the prefix of topics, with a console's id: where it hears answers.
ANSWERS = b"console:"
FIGURES, EVENTS = "figures", "events"
#: Of a question, which holds names only.
MAX_BYTES = 4096
MAX_PER_SECOND = 500
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Question:
    """:param console: `FIGURES` of each node once, from one of its workers; or `EVENTS` of an application from each
        worker, for as long as it is asked again and again.
    :param answers: the console's id, 32 hexadecimal digits. :param asker: the life of its node, which it asks itself.
    :param number: of this question, from 0. :param look: of these events, one of the console's pages.
    :param app: its id. :param per_second: so many events of each worker.
    """

    console: str
    answers: str
    asker: str
    number: int = 0
    look: int = 0
    app: str = ""
    per_second: int = 0

    def encode(self) -> bytes:
        return orjson.dumps(asdict(self))


def is_question(request: bytes) -> bool:
    """Of what comes on the topic on which operators ask: the others are traces (`trace/follow.py`)."""
    return request.startswith(b"{")


def decode(request: bytes) -> Question:
    """What `Question.encode` gave. Raises ConfigError for anything else."""
    try:
        if len(request) > MAX_BYTES:
            raise ValueError("too long")
        found = Question(**orjson.loads(request))
    except (ValueError, TypeError) as error:
        raise ConfigError("console: that is not what another one asks") from error
    texts, numbers = (found.answers, found.asker, found.app), (found.number, found.look, found.per_second)
    if not all(isinstance(text, str) for text in texts) or not _ID.fullmatch(found.answers):
        raise ConfigError("console: an id is none")
    if found.console not in (FIGURES, EVENTS) or not all(type(number) is int and number >= 0 for number in numbers):
        raise ConfigError("console: what it asks is not known")
    if found.console == EVENTS and not 1 <= found.per_second <= MAX_PER_SECOND:
        raise ConfigError(f"console: too many events; allowed: 1 to {MAX_PER_SECOND} a second")
    return found
