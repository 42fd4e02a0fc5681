"""Applications in a DynamoDB table, one item each, by aiobotocore.

Imported only for this driver: aiobotocore is an optional dependency. It only ever reads, page by page, and asks for the
whole table: the index by key that other servers look up is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.apps.sources.rows import to_entry
from engine.apps.sources.table import MAX_ROWS
from engine.aws import Aws, AwsError, Keys, Place
from engine.config.databases import DynamoDbConfig
from engine.errors import SourceUnavailable
from engine.tasks import within

#: Of one page, which is decoded in one turn of the event loop.
PAGE_ITEMS = 250
PAGE_TIMEOUT_S = 4.0
#: For all pages together.
READ_TIMEOUT_S = 9.0


class DynamoDbSource:
    """An `AppSource`."""

    def __init__(self, config: DynamoDbConfig) -> None:
        self._table = config.table_name
        self._name = f"dynamodb in {config.region}, table {config.table_name}"
        self._place = Place(config.region, config.endpoint_url)
        keys = None
        if config.aws_access_key_id and config.aws_secret_access_key:
            keys = Keys(config.aws_access_key_id, config.aws_secret_access_key)
        self._aws = Aws("dynamodb", keys, config.aws_profile_name)
        self._started = False

    async def read(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        start: dict[str, Any] = {}
        try:
            async with within(READ_TIMEOUT_S):
                if not self._started:
                    await self._aws.start()
                    self._started = True
                while True:
                    page = await self._aws.call(
                        self._place, "scan", PAGE_TIMEOUT_S, TableName=self._table, Limit=PAGE_ITEMS, **start
                    )
                    entries += [to_entry(_values(item)) for item in page.get("Items", ())]
                    if len(entries) > MAX_ROWS:
                        raise SourceUnavailable(f"{self._name}: has more than {MAX_ROWS} items")
                    if not page.get("LastEvaluatedKey"):
                        return entries
                    start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
        except AwsError as error:
            raise SourceUnavailable(f"{self._name}: {error}") from error
        except TimeoutError as error:
            raise SourceUnavailable(f"{self._name}: not read within {READ_TIMEOUT_S:g} s") from error

    async def close(self) -> None:
        await self._aws.stop()


def _values(item: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {name: _value(typed) for name, typed in item.items()}


def _value(typed: Mapping[str, Any]) -> Any:
    """DynamoDB's ``{"N": "5"}`` as 5."""
    ((kind, value),) = typed.items()
    match kind:
        case "N":
            number = Decimal(value)
            return int(number) if number == number.to_integral_value() else float(number)
        case "NULL":
            return None
        case "L":
            return [_value(each) for each in value]
        case "M":
            return _values(value)
        case "SS" | "NS":
            return sorted(value)
        case _:
            return value
