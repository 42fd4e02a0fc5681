"""Pages for load balancers, orchestrators and operators; nobody signs them (docs/protocol.md 5.9, D-12)."""

from __future__ import annotations

from http import HTTPStatus

from engine.app_manager import AppManager
from engine.config.server import HttpApiConfig
from engine.errors import ApiError
from engine.http.request import ApiRequest, ApiResponse, ok, text
from engine.machine.memory import memory

#: The reason that `Health.ready` gives while the worker goes away.
DRAINING = "draining"
#: The part under which the reasons of a worker's node are kept.
NODE = "node"


class Health:
    """Whether this worker can do its work now: the reasons why not, each under the name of the part that set it."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {"worker": "starting"}
        #: Set once and for good when the worker begins to drain.
        self.draining = False

    def set(self, part: str, reason: str) -> None:
        """:param reason: a few words for the operator; it replaces the part's earlier one."""
        self._reasons[part] = reason

    def clear(self, part: str) -> None:
        """The part can work again."""
        self._reasons.pop(part, None)

    def own(self) -> str:
        """This worker's reasons, without those of its node; "" when there is none."""
        return "; ".join(reason for part, reason in self._reasons.items() if part != NODE)

    def ready(self) -> tuple[bool, str]:
        """(whether it should get new work, if not why: `DRAINING` or a few words for the operator)."""
        if self.draining:
            return False, DRAINING
        # The node's are those of this worker as well.
        reasons = dict.fromkeys(reason for reasons in self._reasons.values() for reason in reasons.split("; "))
        return not self._reasons, "; ".join(reasons)


class HealthPages:
    """Answers /, /up, /ready, /live, /usage and /accept-traffic."""

    def __init__(self, apps: AppManager, health: Health, config: HttpApiConfig) -> None:
        self._apps = apps
        self._health = health
        self._usage_enabled = config.usage_enabled
        self._memory_threshold = config.accept_traffic.memory_threshold

    async def live(self, _: ApiRequest) -> ApiResponse:
        """GET / and /live: the process serves (H-57, H-60)."""
        return text(200, "OK")

    async def ready(self, _: ApiRequest) -> ApiResponse:
        """GET /ready: it should get new connections (H-58)."""
        ready, reason = self._health.ready()
        return text(200, "OK") if ready else text(HTTPStatus.SERVICE_UNAVAILABLE, reason)

    async def up(self, _: ApiRequest) -> ApiResponse:
        """GET /up (H-61)."""
        ready, reason = self._health.ready()
        if ready:
            return _word(HTTPStatus.OK, "OK")
        return _word(HTTPStatus.SERVICE_UNAVAILABLE, "DRAINING" if reason == DRAINING else "ERROR")

    async def app_up(self, request: ApiRequest, app_id: str) -> ApiResponse:
        """GET /up/{app} (H-61)."""
        if self._apps.by_id(app_id) is None:
            return _word(HTTPStatus.NOT_FOUND, "NOT_FOUND")
        return await self.up(request)

    async def accept_traffic(self, _: ApiRequest) -> ApiResponse:
        """GET /accept-traffic: ready, and with memory to spare (H-59)."""
        now = memory()
        ready, _reason = self._health.ready()
        response = ok({"memory": {"usedSize": now.used, "totalSize": now.total, "percentUsage": now.percent}})
        if ready and now.percent < 100 * self._memory_threshold:
            return response
        return response._replace(status=HTTPStatus.SERVICE_UNAVAILABLE)

    async def usage(self, _: ApiRequest) -> ApiResponse:
        """GET /usage: the machine's memory in bytes (H-62)."""
        if not self._usage_enabled:
            raise ApiError(HTTPStatus.NOT_FOUND, "not_found", "This page is switched off.")
        now = memory()
        return ok({"memory": {"free": now.free, "used": now.used, "total": now.total, "percent": now.percent}})


def _word(status: HTTPStatus, word: str) -> ApiResponse:
    return text(status, word, (("X-Health-Check", word),))
