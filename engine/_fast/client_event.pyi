from collections.abc import Callable

from engine._fast.awaited_link import AwaitedLink
from engine._fast.connection import Connection
from engine._fast.counting import Counts
from engine._fast.hub import Hub
from engine._fast.log_link import LogLink
from engine.app import App
from engine.ws.state import ConnectionState

def count_event(state: ConnectionState, per_second: int) -> bool: ...

class PlainClientEvents:
    report: Callable[[App, str, str, bytes, str, str | None], None] | None
    def __init__(
        self,
        hub: Hub,
        link: LogLink | None,
        accepted: Counts,
        plain: Callable[[App], bool],
        reported: Callable[[App], bool],
        report: Callable[[App, str, str, bytes, str, str | None], None] | None = None,
        awaited: AwaitedLink | None = None,
    ) -> None: ...
    def take(self, connection: Connection, payload: bytes) -> bool: ...
