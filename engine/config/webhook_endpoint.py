"""One entry of an application's `webhooks`: where it goes, which events it wants, and what it overrides.

Values only. That exactly one target is given is checked in `loading/checks.py`, so that it is shown together with every
other mistake.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from engine.config.base import Flag, OptionalText, Region, Section, http_url, text, word
from engine.config.event_types import EVENT_TYPES
from engine.config.patterns import compile_pattern
from engine.config.webhooks import Attempts, BackoffMs, ElapsedMs, RequestTimeoutMs, SignatureFormat

#: The engine writes these itself (W-1, D-8), or they would break the request's framing.
RESERVED_HEADERS = frozenset(
    {
        "x-pusher-key",
        "x-pusher-signature",
        "content-type",
        "content-length",
        "content-encoding",
        "transfer-encoding",
        "connection",
        "host",
        "upgrade",
        "te",
        "trailer",
        "expect",
    }
)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\x80-\uffff]*\Z")


def _pattern(value: str) -> str:
    compile_pattern(value)
    return value


def _header_name(value: str) -> str:
    if not _HEADER_NAME.match(value):
        raise ValueError("is not a header name")
    if value.lower() in RESERVED_HEADERS or value.lower().startswith("x-webhook-"):
        raise ValueError("is reserved; the engine sets this header itself")
    return value


def _header_value(value: str) -> str:
    if not _HEADER_VALUE.match(value):
        raise ValueError("holds characters that no header may hold")
    return value


def _empty_object(value: Any) -> Any:
    return {} if value is None else value


def _not_empty(value: Any) -> Any:
    if value == []:
        raise ValueError("is empty; name at least one namespace")
    return value


#: What stands between a channel's type and its first colon: `chat` of `private-chat:7`.
Namespace = Annotated[str, text(r"[^:]+", "the part of a channel's name between its type and the first colon")]
EventType = Annotated[str, word(*EVENT_TYPES)]
ChannelType = Annotated[
    Literal["public", "private", "presence", "encrypted", "cache"],
    word("public", "private", "presence", "encrypted", "cache"),
]
Headers = Annotated[
    dict[Annotated[str, AfterValidator(_header_name)], Annotated[str, AfterValidator(_header_value)]],
    BeforeValidator(_empty_object),
]


class LambdaConfig(Section):
    """An AWS Lambda function (W-37). `async: false` is the older spelling of `invocation_type: RequestResponse`.

    :param invocation_type: `Event`, which is the default, does not wait for the function's answer.
    :param qualifier: a version or an alias of the function.
    :param endpoint_url: instead of AWS itself, for a local stand-in.
    """

    function_name: Annotated[str, text(r"[a-zA-Z0-9:_$-]{1,256}", "a function's name or ARN")] | None = None
    region: Region = "us-east-1"
    invocation_type: (
        Annotated[Literal["Event", "RequestResponse"], word("Event", "RequestResponse", elsewhere=("DryRun",))] | None
    ) = None
    asynchronous: Flag | None = Field(default=None, alias="async")
    qualifier: OptionalText = None
    endpoint_url: Annotated[str, BeforeValidator(http_url)] | None = None


class FilterConfig(Section):
    """Which channels (and, by `event_prefix`, client events) are wanted; every given part must pass (W-22, D-2).

    :param channel_pattern: a regular expression, found anywhere in the channel's name.
    :param channel_namespace: :param channel_namespaces: the channel is in one of these.
    :param event_prefix: of a client event's name.
    """

    channel_type: ChannelType | None = None
    channel_prefix: OptionalText = None
    channel_suffix: OptionalText = None
    channel_pattern: Annotated[str, AfterValidator(_pattern)] | None = None
    channel_namespace: Namespace | None = None
    channel_namespaces: Annotated[tuple[Namespace, ...], BeforeValidator(_not_empty)] | None = None
    event_prefix: OptionalText = None


class RetryOverrides(Section):
    """What is null is taken from `webhooks.retry`."""

    enabled: Flag | None = None
    max_attempts: Attempts | None = None
    max_elapsed_time_ms: ElapsedMs | None = None
    initial_backoff_ms: BackoffMs | None = None
    max_backoff_ms: BackoffMs | None = None


class WebhookConfig(Section):
    """Exactly one of `url`, `lambda` and `lambda_function` says where it goes (W-21).

    :param lambda_function: short for `lambda` with a function's name alone.
    :param event_types: what it is told. :param filter: of which channels; null is all.
    :param headers: sent with each request; for secrets of the receiver's.
    :param signature_format: :param request_timeout_ms: :param retry: null is the server-wide one of `webhooks`.
    """

    url: Annotated[str, BeforeValidator(http_url)] | None = None
    function: LambdaConfig | None = Field(default=None, alias="lambda")
    lambda_function: Annotated[str, text(r"[a-zA-Z0-9:_$-]{1,256}", "a function's name or ARN")] | None = None
    event_types: tuple[EventType, ...]
    filter: FilterConfig | None = None
    headers: Headers = Field(default_factory=dict, repr=False)
    signature_format: SignatureFormat | None = None
    request_timeout_ms: RequestTimeoutMs | None = None
    retry: RetryOverrides | None = None
