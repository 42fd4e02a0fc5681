"""The applications that a worker knows, looked up by key and by id.

With a database it is the copy. Changed only as a whole. Look-ups are two dictionaries, as they are made for every
publish and every new connection, and never wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine._fast.registry import Registry
from engine.app import App


@dataclass(frozen=True, slots=True)
class Changes:
    """What another set of applications differs in from the one before, by id.

    :param changed: (as it was, as it is) of each.
    """

    added: tuple[App, ...] = ()
    changed: tuple[tuple[App, App], ...] = ()
    removed: tuple[App, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)

    def __str__(self) -> str:
        """Ids only: `added 7, 8; removed 3`."""
        changed = [new for _, new in self.changed]
        changes = (("added", self.added), ("changed", changed), ("removed", self.removed))
        return "; ".join(f"{what} {_ids(apps)}" for what, apps in changes if apps) or "none changed"


#: Applications named in one line of the log.
NAMED = 20


class AppManager(Registry):
    """:param apps: with distinct ids and keys, here and in `replace`: who makes them has made sure.

    :ivar stale: the copy is too old to let anybody in by it (`app_manager.cache.ttl`); callers are to come back later.
    """

    def __init__(self, apps: Iterable[App] = ()) -> None:
        self.stale = False
        self._take(tuple(apps))

    def by_key(self, key: str) -> App | None:
        return self._by_key.get(key)

    def by_id(self, app_id: str) -> App | None:
        return self._by_id.get(app_id)

    def all(self) -> Sequence[App]:
        """In the order in which they were given."""
        return self._apps

    def replace(self, apps: Iterable[App]) -> Changes:
        """Know these from now on, and no others. One that is equal to the one before stays the same object."""
        before = self._by_id
        kept = tuple(before[app.id] if before.get(app.id) == app else app for app in apps)
        self._take(kept)
        return Changes(
            added=tuple(app for app in kept if app.id not in before),
            changed=tuple((before[app.id], app) for app in kept if before.get(app.id, app) is not app),
            removed=tuple(app for app in before.values() if app.id not in self._by_id),
        )

    def _take(self, apps: tuple[App, ...]) -> None:
        self.changes += 1
        self._apps = apps
        self._by_key = {app.key: app for app in apps}
        self._by_id = {app.id: app for app in apps}


def _ids(apps: Sequence[App]) -> str:
    more = f" and {len(apps) - NAMED} more" if len(apps) > NAMED else ""
    return ", ".join(app.id for app in apps[:NAMED]) + more
