"""How a node leaves its clients: the section `shutdown`.

Values only.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator

from engine.config.base import Limit, Section, to_whole

#: Nobody waits longer.
MAX_DELAY_MS = 3_600_000


def _delay(value: Any) -> int | None:
    """A whole number of milliseconds; nothing leaves it to the engine."""
    if value is None or value == "":
        return None
    number = to_whole(value)
    if number is None or not 0 <= number <= MAX_DELAY_MS:
        raise ValueError(f"is not a delay; allowed: 0 to {MAX_DELAY_MS} milliseconds, or null")
    return number


class ShutdownConfig(Section):
    """:param delay_ms: how long a node that leaves still accepts connections while `/ready` says no, so that balancers
    notice first. null is 5 s where another node of the cluster lives, and 0 where none does.
    :param pace_per_second: clients of the node that are sent away in a second, where there is
    somewhere to go; 0 is no limit.
    """

    delay_ms: Annotated[int | None, BeforeValidator(_delay)] = None
    pace_per_second: Limit = 1000
