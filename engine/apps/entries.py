"""From the entries that a database holds to the applications that serve: checked one by one, a bad one harms no other.

Remembers what it was given, so that an entry that stays as it is costs a comparison, and one that went bad keeps its
last good state. It reads no database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from engine.app import App
from engine.apps.build import build_app
from engine.config.loading.entry import check_entry
from engine.config.root import Config
from engine.errors import ConfigError
from engine.metrics.metrics import Metrics

#: Entries checked between two turns of the event loop: some milliseconds.
SLICE = 20
#: Lines of the log about one entry.
MAX_LINES = 10

_log = logging.getLogger(__name__)


class Entries:
    """:param config: whose limits apply where an entry has none of its own."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        self._config = config
        self._metrics = metrics
        self._given: dict[str, dict[str, Any]] = {}
        #: What each entry came to by itself: an application, or what is wrong with it.
        self._checked: dict[str, App | str] = {}
        self._apps: dict[str, App] = {}
        self._repeated: set[str] = set()
        self._refused: dict[str, str] = {}

    def reconfigure(self, config: Config) -> None:
        """Other server-wide limits: every entry is built anew by the next `take`."""
        self._config = config
        self._given, self._checked = {}, {}

    async def take(self, entries: Sequence[dict[str, Any]]) -> tuple[App, ...] | None:
        """The applications that serve from now on, by id; None when no entry has changed."""
        given: dict[str, dict[str, Any]] = {}
        repeated: set[str] = set()
        for entry in entries:
            app_id = str(entry.get("id"))
            if given.setdefault(app_id, entry) is not entry:
                repeated.add(app_id)
                if entry == self._given.get(app_id):
                    given[app_id] = entry
        if given == self._given and repeated == self._repeated:
            return None
        checked: dict[str, App | str] = {}
        pending = 0
        for app_id, entry in given.items():
            known = self._checked.get(app_id) if self._given.get(app_id) == entry else None
            if known is None:
                known = self._check(entry)
                pending += 1
                if pending % SLICE == 0:
                    await asyncio.sleep(0)
            checked[app_id] = known
        self._given, self._checked, self._repeated = given, checked, repeated
        refused = dict.fromkeys(repeated, "id: is the id of more than one entry; the first counts")
        self._apps = self._with_distinct_keys(refused)
        self._note(refused)
        return tuple(self._apps.values())

    def _check(self, entry: dict[str, Any]) -> App | str:
        try:
            return build_app(check_entry(entry, self._config), self._config)
        except ConfigError as error:
            return "\n".join(str(error).splitlines()[:MAX_LINES])

    def _with_distinct_keys(self, refused: dict[str, str]) -> dict[str, App]:
        """What serves: a bad entry's last good state, and of several with one key the one that has it already, else the
        smallest id, so that a new entry takes no application's key away and all workers choose the same."""
        wanted: list[App] = []
        for app_id in sorted(self._checked):
            found = self._checked[app_id]
            if isinstance(found, str):
                refused[app_id] = found
                if app_id not in self._apps:
                    continue
                found = self._apps[app_id]
            wanted.append(found)
        wanted.sort(key=lambda app: app.id not in self._apps or self._apps[app.id].key != app.key)
        owners: dict[str, App] = {}
        losers = [app for app in wanted if owners.setdefault(app.key, app) is not app]
        for app in losers:
            refused[app.id] = f"key: is already the key of app {owners[app.key].id}"
            before = self._apps.get(app.id)
            if before is not None:
                owners.setdefault(before.key, before)
        return {app.id: app for app in sorted(owners.values(), key=lambda app: app.id)}

    def _note(self, refused: dict[str, str]) -> None:
        """Each mistake is logged when it appears, and counted for as long as it stands."""
        for app_id, problem in refused.items():
            if self._refused.get(app_id) != problem:
                left = "; it stays as it was" if app_id in self._apps else ""
                for line in problem.splitlines():
                    _log.error("app %s refused%s: %s", app_id[:128], left, line)
        for app_id in self._refused.keys() - refused.keys():
            _log.info("app %s is in order again%s", app_id[:128], "" if app_id in self._apps else ": it is gone")
        self._refused = refused
        self._metrics.apps.serve(self._apps.values(), refused=len(refused))
