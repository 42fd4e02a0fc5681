"""The end of a worker's parts: in reverse order, each as long as there is time, and none for longer.

Decides nothing else; when the time is over is the departure's to say.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from engine.tasks import within
from engine.worker.parts import Part

#: For one part, when the time of all is over.
PART_S = 0.2

_log = logging.getLogger(__name__)


async def stop_all(started: Sequence[Part], ends_at: float) -> bool:
    """Stop parts in the reverse of the order in which they were started; False when one of them failed.

    A part that waits for a peer which does not answer is left at the end of the time: it gives nothing back then, as
    after a kill, and the cluster finds out.

    :param ends_at: by CLOCK_MONOTONIC.
    """
    fine = True
    for part in reversed(started):
        try:
            async with within(max(ends_at - time.monotonic(), PART_S)):
                await part.stop()
        except TimeoutError:
            _log.warning("%s did not stop in time: a peer does not answer", type(part).__name__)
        except Exception:  # noqa: BLE001 (one part's fault must not keep the others from giving back what they hold)
            _log.exception("%s did not stop cleanly", type(part).__name__)
            fine = False
    return fine
