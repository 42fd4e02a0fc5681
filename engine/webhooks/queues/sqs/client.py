"""Queues of SQS: found or made when first used, and the few calls that the webhook queue needs of them.

Every call is bounded and attempted once; it knows no job.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.aws import Aws, AwsError, Place
from engine.config.backends import QueueSqs
from engine.errors import StoreUnavailable
from engine.webhooks.queues.sqs.messages import MAX_BATCH, Outgoing

#: Names of queues where the configuration gives no address.
NAMES = "sockudo_queue_"
TIMEOUT_S = 10.0
#: 14 days, the longest that SQS keeps anything.
RETENTION_S = "1209600"
_MISSING = ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist")
#: A receipt that is no longer valid.
_GONE = ("ReceiptHandleIsInvalid", "InvalidParameterValue")
#: The last part of an address that ends with the account: the queue's name is still to come.
_ACCOUNT = re.compile(r".*/[0-9]+\Z")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Incoming:
    """One received message. :param handle: by which it is deleted or hidden again."""

    id: str
    handle: str
    body: str


class Sqs:
    """Every method raises StoreUnavailable. A queue is named by its short name: ``default`` or ``failed``.

    The dead letters are a standard queue in any case: nothing is promised about their order.
    """

    def __init__(self, config: QueueSqs) -> None:
        self.config = config
        self._place = Place(config.region, config.endpoint_url)
        self._aws = Aws("sqs")
        self._urls: dict[str, str] = {}

    async def start(self) -> None:
        await self._aws.start()

    async def stop(self) -> None:
        await self._aws.stop()

    async def find(self, queue: str) -> str:
        """The queue's address; it is made if there is none."""
        if queue not in self._urls:
            url = self._configured(queue)
            name = NAMES + queue + self._suffix(queue) if url is None else url.rpartition("/")[2]
            try:
                if url is None:
                    answer = await self._call("get_queue_url", QueueName=name)
                    url = str(answer["QueueUrl"])
                else:
                    await self._call("get_queue_attributes", QueueUrl=url, AttributeNames=["QueueArn"])
            except AwsError as error:
                if error.code not in _MISSING:
                    raise StoreUnavailable(f"queue {name}: {error}") from error
                url = await self._make(queue, name)
            self._urls[queue] = url
        return self._urls[queue]

    async def send(self, queue: str, batch: Sequence[Outgoing]) -> None:
        """At most MAX_BATCH messages. When it fails, some of them may have been taken."""
        entries: list[dict[str, Any]] = []
        for number, message in enumerate(batch):
            entry: dict[str, Any] = {"Id": str(number), "MessageBody": message.body}
            if self._suffix(queue):
                entry |= {"MessageGroupId": message.group, "MessageDeduplicationId": message.once}
            entries.append(entry)
        answer = await self._ask("send_message_batch", queue, Entries=entries)
        if failed := answer.get("Failed"):
            raise StoreUnavailable(f"queue {queue}: {len(failed)} messages refused: {failed[0].get('Code')}")

    async def receive(self, queue: str, limit: int, hidden_s: int, wait_s: int = 0) -> list[Incoming]:
        """Up to `limit` messages, hidden from others for `hidden_s`; waits for the first one up to `wait_s`."""
        answer = await self._ask(
            "receive_message",
            queue,
            wait_s + TIMEOUT_S,
            MaxNumberOfMessages=min(limit, MAX_BATCH),
            VisibilityTimeout=hidden_s,
            WaitTimeSeconds=wait_s,
        )
        return [Incoming(m["MessageId"], m["ReceiptHandle"], m["Body"]) for m in answer.get("Messages", ())]

    async def hide(self, queue: str, handles: Sequence[str], hidden_s: int) -> set[str]:
        """From now on for so long; 0 gives them back at once. Returns those that could not be: gone, or another's."""
        lost: set[str] = set()
        for at in range(0, len(handles), MAX_BATCH):
            part = handles[at : at + MAX_BATCH]
            entries = [
                {"Id": str(number), "ReceiptHandle": handle, "VisibilityTimeout": hidden_s}
                for number, handle in enumerate(part)
            ]
            answer = await self._ask("change_message_visibility_batch", queue, Entries=entries)
            lost.update(part[int(failed["Id"])] for failed in answer.get("Failed", ()))
        return lost

    async def delete(self, queue: str, handle: str) -> None:
        """Forget a message. One that another worker has received meanwhile stays, and comes again."""
        url = await self.find(queue)
        try:
            await self._call("delete_message", QueueUrl=url, ReceiptHandle=handle)
        except AwsError as error:
            if error.code not in _GONE:
                raise StoreUnavailable(f"queue {queue}: {error}") from error
            _log.debug("queue %s: a message cannot be deleted any more: %s", queue, error)

    async def count(self, queue: str) -> tuple[int, int]:
        """About how many can be received, and how many are hidden or not yet to be received."""
        names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ]
        answer = await self._ask("get_queue_attributes", queue, AttributeNames=names)
        visible, hidden, delayed = (int(answer["Attributes"].get(name, 0)) for name in names)
        return visible, hidden + delayed

    async def purge(self, queue: str) -> None:
        await self._ask("purge_queue", queue)

    async def _make(self, queue: str, name: str) -> str:
        attributes = {"VisibilityTimeout": str(self.config.visibility_timeout), "MessageRetentionPeriod": RETENTION_S}
        if self._suffix(queue):
            # High throughput: limits count for each endpoint, not for the queue.
            attributes |= {
                "FifoQueue": "true",
                "DeduplicationScope": "messageGroup",
                "FifoThroughputLimit": "perMessageGroupId",
            }
        try:
            answer = await self._call("create_queue", QueueName=name, Attributes=attributes)
        except AwsError as error:
            raise StoreUnavailable(f"queue {name} does not exist and cannot be made: {error}") from error
        _log.info("queue %s is new", name)
        return str(answer["QueueUrl"])

    async def _ask(self, operation: str, queue: str, timeout_s: float = TIMEOUT_S, **parameters: Any) -> dict[str, Any]:
        url = await self.find(queue)
        try:
            return await self._call(operation, timeout_s, QueueUrl=url, **parameters)
        except AwsError as error:
            if error.code in _MISSING:
                self._urls.pop(queue, None)
            raise StoreUnavailable(f"queue {queue}: {error}") from error

    async def _call(self, operation: str, timeout_s: float = TIMEOUT_S, **parameters: Any) -> dict[str, Any]:
        return await self._aws.call(self._place, operation, timeout_s, **parameters)

    def _suffix(self, queue: str) -> str:
        return ".fifo" if self.config.fifo and queue == "default" else ""

    def _configured(self, queue: str) -> str | None:
        prefix = self.config.queue_url_prefix
        if prefix is None:
            return None
        return f"{prefix}{'/' if _ACCOUNT.match(prefix) else ''}{queue}{self._suffix(queue)}"
