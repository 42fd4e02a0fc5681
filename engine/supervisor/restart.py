"""A restart in place: the new program is tried, becomes this process' own, and then replaces worker after worker.

Stepped by the supervisor's loop. Up to the moment at which the program is replaced a failure changes nothing; after it
the workers of the old program serve until each has a successor that does.
"""

from __future__ import annotations

import logging
import socket
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
            self._request = request
            self._service.reloading()
            self._say("the new program is tried")
            self._trial = Trial(self._give())

    def _replace_those_asked(self) -> None:
        """Another process asked a worker to end: it may, once another serves in its place."""
        asked = [slot for slot in self._crew.slots if slot.process is not None and slot.process.asked]
        if asked and self._shared_state:
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
            self._end(why)

    def _end(self, failure: str) -> None:
        for line in failure.splitlines():
            _log.error("restart: %s", line)
        self._service.ready()
        end = f"{failure}\nthe restart has failed; what served before goes on"
        self._say(end if failure else "every worker is new")
        if self._request is not None:
            self._request.end(1 if failure else 0)
            self._request = None

    def _say(self, text: str) -> None:
        _log.info("restart: %s", text.replace("\n", "; "))
        if self._request is not None:
            self._request.say(text)

    def _refuse(self, request: Request | None, why: str) -> None:
        _log.warning("restart: %s", why)
        if request is not None:
            request.say(why)
            request.end(1)
