"""What a connection's end leads to: every part of it, whichever of the others fails."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from engine.ws.handlers import Handlers
from engine.ws.state import ADMITTED, ConnectionState, User

STEPS = ("watchlists.drop", "subscriptions.drop", "admission.take_back", "emitter.connection_terminated")


@pytest.mark.parametrize("failing", STEPS)
def test_every_step_of_an_end_is_done_whatever_another_raises(failing: str) -> None:
    parts = Mock()
    handlers = Handlers(
        Mock(),
        parts.admission,
        parts.subscriptions,
        Mock(),
        parts.watchlists,
        Mock(),
        Mock(),
        parts.emitter,
        Mock(),
        max_joins_per_second=0,
    )
    connection = Mock(state=ConnectionState())
    connection.state.stage, connection.state.user = ADMITTED, User("ada", "", "{}")
    part, method = failing.split(".")
    getattr(getattr(parts, part), method).side_effect = RuntimeError("a fault of ours")
    with pytest.raises(RuntimeError):
        handlers.leaving(connection)
    assert [name for name, _, _ in parts.mock_calls] == list(STEPS)
