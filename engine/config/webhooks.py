"""The `webhooks` section: batching, settling, signing, time-outs and retries of every webhook.

Values only; `webhook_endpoint.py` holds what one application's webhook says and may override.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from engine.config.base import Flag, Section, whole, word

#: `prefixed` sends sha256=<hex>, `hex` the bare digest, which alone the official libraries verify (D-1, W-6).
SignatureFormat = Annotated[Literal["prefixed", "hex"], word("prefixed", "hex")]
#: Of what may settle. The scripts of the shared state repeat it.
MAX_SETTLE_MS = 600_000
RequestTimeoutMs = Annotated[int, whole(1, 600_000)]
Attempts = Annotated[int, whole(0, 100)]
BackoffMs = Annotated[int, whole(1, 86_400_000)]
ElapsedMs = Annotated[int, whole(1, 604_800_000, unlimited=True)]


class Batching(Section):
    """How events share requests (W-24).

    :param enabled: off, every event is a request of its own.
    :param duration: milliseconds that an event waits at most for company. :param size: events of one request.
    """

    enabled: Flag = True
    duration: Annotated[int, whole(0, 60_000)] = 50
    size: Annotated[int, whole(1, 10_000)] = 100


class Retry(Section):
    """Attempts after the first one: the wait doubles from the initial one up to the maximum (D-3).

    :param enabled: off, the first failure makes a dead letter.
    :param max_attempts: retries, the first attempt not counted; then the job is a dead letter. Null is as many as
        `max_elapsed_time_ms` leaves room for.
    :param max_elapsed_time_ms: no retry begins later than this after the first failure; 0 sets no such bound.
    """

    enabled: Flag = True
    max_attempts: Attempts | None = 5
    max_elapsed_time_ms: ElapsedMs = 0
    initial_backoff_ms: BackoffMs = 1_000
    max_backoff_ms: BackoffMs = 60_000


class WebhooksConfig(Section):
    """:param settle_ms: milliseconds that channel_vacated and member_removed wait for a return; 0 sends at once (W-18,
        D-4).
    :param signature_format: `prefixed` sends `X-Pusher-Signature: sha256=<hex>`, `hex` the bare digest, which alone the
        official libraries verify.
    :param request_timeout_ms: milliseconds for one attempt, from connecting to the end of the answer.
    :param allow_private_targets: false refuses URLs that lead to loopback, private or link-local addresses.
    """

    batching: Batching = Field(default_factory=Batching)
    settle_ms: Annotated[int, whole(0, MAX_SETTLE_MS)] = 3_000
    signature_format: SignatureFormat = "prefixed"
    request_timeout_ms: RequestTimeoutMs = 10_000
    retry: Retry = Field(default_factory=Retry)
    allow_private_targets: Flag = True
