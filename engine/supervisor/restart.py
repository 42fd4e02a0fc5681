"""A restart in place: the new program is tried, becomes this process' own, and then replaces worker after worker.

Stepped by the supervisor's loop. Up to the moment at which the program is replaced a failure changes nothing; after it
the workers of the old program serve until each has a successor that does.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import NoReturn

from engine.config.root import Config
from engine.control import Order, Phase
from engine.errors import CloseCode
from engine.supervisor.commands import Request
from engine.supervisor.crew import Crew, Slot
from engine.supervisor.handover import Handover
from engine.supervisor.rolling import Rolling
from engine.supervisor.service_manager import ServiceManager
from engine.supervisor.trial import Trial

#: Between two attempts to find a successor for a worker that was asked to end.
AGAIN_MIN_S, AGAIN_MAX_S = 1.0, 30.0

_log = logging.getLogger(__name__)


class Restart:
    """:param give: what the next program is left. :param become: replaces this program; does not return.
    :param shared_state: whether workers have their state in common.
    """

    def __init__(
        self,
        crew: Crew,
        config: Config,
        give: Callable[[], Handover],
        become: Callable[[Handover], NoReturn],
        service: ServiceManager,
        *,
        shared_state: bool,
    ) -> None:
        self._shared_state = shared_state
        self._service = service
        self._crew = crew
        self._config = config
        self._give = give
        self._become = become
        self._request: Request | None = None
        self._trial: Trial | None = None
        self._rolling: Rolling | None = None
        #: The restart under way was not wished by anybody: workers have been asked to end.
        self._for_those_asked = False
        self._again_at = 0.0
        self._again_s = AGAIN_MIN_S

    @property
    def busy(self) -> bool:
        return self._trial is not None or self._rolling is not None

    def begin(self, request: Request | None) -> None:
        """:param request: the command that gets the answer; None after a signal."""
        if self.busy:
            self._refuse(request, "a restart is under way")
        elif not self._shared_state:
            self._refuse(
                request,
                "a single worker without Redis has all state in its own memory, which ends with it;"
                " with --workers 2, or with a Redis, it outlives a restart",
            )
        elif not self._crew.complete:
            self._refuse(request, "the engine has not come up yet")
        else:
            try:
                self._trial = Trial(self._give())
            except OSError as error:
                # The interpreter was taken away, or nothing can be started now.
                self._refuse(request, f"the new program cannot be started: {error}")
                return
            self._request = request
            self._service.reloading()
            self._say("the new program is tried")

    def _replace_those_asked(self) -> None:
        """Another process asked a worker to end: it may, once another serves in its place, and not before."""
        if time.monotonic() < self._again_at:
            return
        asked = [slot for slot in self._crew.slots if slot.process is not None and slot.process.asked]
        if asked and self._shared_state:
            self._for_those_asked = True
            self._rolling = self._roll(asked)
        else:
            for slot in asked:
                assert slot.process is not None
                slot.process.asked = False
                slot.process.order(Order(Phase.GONE, code=CloseCode.OVER_CAPACITY))

    def _roll(self, slots: list[Slot]) -> Rolling:
        config = self._config
        return Rolling(self._crew, slots, config.shutdown_grace_period, config.shutdown.pace_per_second, self._say)

    def go_on(self, asker: int) -> None:
        """This is the new program. :param asker: descriptor of the command that gets the answer, or -1."""
        if asker >= 0:
            self._request = Request(socket.socket(fileno=asker), ["restart"])
        self._say("the new program has taken over; worker after worker follows")
        self._rolling = self._roll(self._crew.slots)

    def step(self) -> None:
        """Do what can be done now."""
        if self._trial is not None:
            failure = self._trial.failure()
            if failure is None:
                return
            self._trial.close()
            self._trial = None
            if failure:
                self._end(failure)
                return
            handover = self._give()
            handover.asker = self._request.fd if self._request is not None else -1
            self._become(handover)
        if not self.busy:
            self._replace_those_asked()
        if self._rolling is not None:
            self._rolling.step()
            if self._rolling.failure is not None:
                failure, self._rolling = self._rolling.failure, None
                self._end(failure)

    def give_up(self, why: str) -> None:
        """End it where it is."""
        if self._trial is not None:
            self._trial.close()
        if self.busy:
            self._trial = self._rolling = None
            if not self._for_those_asked:
                self._end(why)

    def _end(self, failure: str) -> None:
        if self._for_those_asked:
            self._for_those_asked = False
            self._try_again(failure)
            return
        for line in failure.splitlines():
            _log.error("restart: %s", line)
        self._service.ready()
        end = f"{failure}\nthe restart has failed; what served before goes on"
        self._say(end if failure else "every worker is new")
        if self._request is not None:
            self._request.end(1 if failure else 0)
            self._request = None

    def _try_again(self, failure: str) -> None:
        """After a failure, until each of those asked has its successor. Why it failed has been logged."""
        if failure:
            again_s = self._again_s
            _log.warning("a worker that was asked to end serves on; its successor is tried again in %.0f s", again_s)
            self._again_at = time.monotonic() + again_s
            self._again_s = min(again_s * 2, AGAIN_MAX_S)
        else:
            self._again_s = AGAIN_MIN_S

    def _say(self, text: str) -> None:
        _log.info("restart: %s", text.replace("\n", "; "))
        if self._request is not None:
            self._request.say(text)

    def _refuse(self, request: Request | None, why: str) -> None:
        _log.warning("restart: %s", why)
        if request is not None:
            request.say(why)
            request.end(1)
