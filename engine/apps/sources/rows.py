"""From a row of a table of applications to an entry of the configuration (`app_manager.array.apps[]`).

It knows the columns of sockudo's and soketi's tables, leaves out what is no option of an application, and judges no
value: `entries.py` does, as with entries in the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from engine.config.apps import POLICY_GROUPS, AppConfig, soketi_option

#: Every row has the same columns. soketi's items in DynamoDB have humps.
_option = lru_cache(maxsize=1024)(soketi_option)
#: Columns that hold JSON, as a type of its own or as text.
JSON_COLUMNS = frozenset({"history", "presence_history", "webhooks", "allowed_origins", "message_rate_limit", "policy"})
#: Put in the place of text that should have been JSON: that text may hold secrets, and errors show values.
UNREADABLE = "(text that is not JSON)"
UNREADABLE_POLICY = "(policy is no JSON object)"
#: Limits of which -1 stands for the server-wide one, as no value does.
_SERVER_WIDE = frozenset(
    name for name, field in AppConfig.model_fields.items() if name.startswith("max_") and field.default is None
)
#: What sockudo keeps in the column `policy` where there is one; the columns of these names mean nothing then.
_IN_POLICY = frozenset(AppConfig.model_fields) - {
    "id",
    "key",
    "secret",
    "enabled",
    # Ours alone; sockudo's own are server-wide.
    "history",
    "presence_history",
    "previous_secret",
    "tls_only",
    "max_channels_per_connection",
    "enable_subscription_count",
}


def to_entry(row: Mapping[str, Any]) -> dict[str, Any]:
    """The application that the row describes. A value that is NULL is as good as a column that is not there."""
    entry: dict[str, Any] = {}
    policy: Any = None
    silent = False
    # A column of exactly our name wins over another spelling of it.
    for column in sorted(row, key=lambda name: name in AppConfig.model_fields):
        name = _option(column)
        value = _plain(row[column])
        if name in JSON_COLUMNS:
            value = _parsed(value)
        if name == "policy":
            policy = value
        elif name in AppConfig.model_fields and not _is_unset(name, value):
            entry[name] = value
            if name != column and name == "max_client_events_per_second" and value == 0:
                silent = True
    if silent:
        # 0 allows none in soketi, and is no limit in sockudo and here.
        entry["enable_client_messages"] = False
    return entry if policy is None else _with_policy(entry, policy)


def _with_policy(entry: dict[str, Any], policy: Any) -> dict[str, Any]:
    """sockudo's `policy` says all that it can say; the columns beside it are left from before."""
    if not isinstance(policy, dict):
        # `policy` is no option here and would be ignored: the row is to be refused, and this is what its line says.
        return entry | {"webhooks": UNREADABLE_POLICY}
    kept = {name: value for name, value in entry.items() if name not in _IN_POLICY}
    groups = [group for group in map(policy.get, POLICY_GROUPS) if isinstance(group, dict)]
    for group in (*groups, {"webhooks": policy.get("webhooks")}):
        for name, value in group.items():
            if name in _IN_POLICY and not _is_unset(name, value):
                kept[name] = value
    return kept


def _is_unset(name: str, value: Any) -> bool:
    return value is None or (name in _SERVER_WIDE and value in (-1, "-1")) or (name in JSON_COLUMNS and value == "")


def _parsed(value: Any) -> Any:
    """JSON that is text, or text in JSON, as some tools store it; origins may also stand there between commas."""
    for _ in range(2):
        if isinstance(value, str) and value.lstrip()[:1] in ("[", "{", '"', "n"):
            try:
                value = orjson.loads(value)
            except ValueError:
                return UNREADABLE
    return value


def _plain(value: Any) -> Any:
    """Numbers, text and truth values whatever the database's type is: DECIMAL, UUID, BIT, bytes."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bytes):
        # BIT(1) of MySQL, or text in a binary column.
        return int.from_bytes(value) if value in (b"\x00", b"\x01") else value.decode(errors="replace")
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    return str(value)
