"""What is known of a connection beside its socket: who it is, and what it is on its way into.

How far it has come, and all else that is kept for each, is a `_fast.connection_state.ConnectionState`. No
rule is here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine._fast.connection_state import ADMITTED as ADMITTED
from engine._fast.connection_state import CHECKING_ADDRESS as CHECKING_ADDRESS
from engine._fast.connection_state import CLOSED as CLOSED
from engine._fast.connection_state import COUNTING as COUNTING
from engine._fast.connection_state import REFUSED as REFUSED
from engine._fast.connection_state import ConnectionState as ConnectionState
from engine._fast.connection_state import Stage as Stage
from engine._fast.hub import Pending
from engine._fast.member import Member
from engine.interfaces import Answer


@dataclass(slots=True)
class User:
    """Who a connection has signed in as (U-2)."""

    id: str
    user_info: str
    data: str


@dataclass(slots=True)
class Joining:
    """A subscription between request and acknowledgement; `done` is set once the reporter counts it."""

    pending: Pending
    member: Member | None
    on_live: Callable[[Joining, Answer], None]
    done: Callable[[Answer, bool], None] | None = None

    def end(self) -> None:
        """It is in, or will never be. What it was to do then holds itself, and the connection with it, otherwise: that
        would stay until the garbage collector finds it."""
        self.done = _over


def _over(_answer: Answer, _refused: bool) -> None:
    """Nobody waits any more."""
