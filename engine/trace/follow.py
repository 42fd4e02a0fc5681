"""What a trace follows, as an operator asks for it and as it travels from the command to the workers.

Pure; no secret and no payload has a place here, only names.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from urllib.parse import quote, unquote

from engine.errors import ConfigError

#: Behind the prefix of topics: where an operator asks other nodes; with a colon and the trace's id, where they answer.
TRACE = b"trace"
#: A trace that nobody ends.
DEFAULT_S, MAX_S = 60, 3600
#: Traces at one time.
MAX_TRACES = 4
#: Characters of one name.
MAX_NAME = 512
_ID = re.compile(r"([0-9a-f]{32})?")


@dataclass(frozen=True, slots=True)
class Follow:
    """What fits any of these is told; with `app`, of that application only. "" is not said.

    :param user: by id. :param event: the name of published events. :param seconds: after which it ends.
    :param id: of a trace through several nodes, 32 hexadecimal digits: a worker that is asked twice tells it once.
    """

    channel: str = ""
    socket: str = ""
    user: str = ""
    event: str = ""
    app: str = ""
    seconds: int = DEFAULT_S
    id: str = ""

    @property
    def follows_all(self) -> bool:
        """Whatever an application does."""
        return not (self.channel or self.socket or self.user or self.event)

    def wants(self, fact: Fact) -> bool:
        """Whether the operator asked for this."""
        if self.app and fact.app and fact.app != self.app:
            return False
        if fact.unknown or self.follows_all:
            return True
        return (
            (bool(self.channel) and self.channel in fact.channels)
            or (bool(self.socket) and self.socket in fact.sockets)
            or (bool(self.user) and self.user in fact.users)
            or (bool(self.event) and self.event == fact.event)
        )

    def encode(self) -> str:
        """One word, without white space."""
        return quote(json.dumps(asdict(self), separators=(",", ":")), safe="")


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened, and to whom.

    :param unknown: it was ended before it was known whom it concerns, so it may be what anybody looks for.
    """

    app: str = ""
    channels: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    users: tuple[str, ...] = field(default=())
    event: str = ""
    unknown: bool = False


def decode(word: str) -> Follow:
    """What `Follow.encode` gave. Raises ConfigError for anything else."""
    try:
        given = json.loads(unquote(word, errors="strict"))
        found = Follow(**given)
    except (ValueError, TypeError) as error:
        raise ConfigError("trace: that is not what the command sends") from error
    names = (found.channel, found.socket, found.user, found.event, found.app)
    if not all(isinstance(name, str) and len(name) <= MAX_NAME for name in names):
        raise ConfigError(f"trace: a name is no text, or longer than {MAX_NAME} characters")
    if type(found.seconds) is not int or not 1 <= found.seconds <= MAX_S:
        raise ConfigError(f"trace: the time is out of range; allowed: 1 to {MAX_S} seconds")
    if not isinstance(found.id, str) or not _ID.fullmatch(found.id):
        raise ConfigError("trace: its id is none")
    if not any(names):
        raise ConfigError("trace: nothing is named; allowed: --channel, --socket, --user, --event, --app")
    return found
