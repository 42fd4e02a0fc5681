"""The whole configuration as one read-only value.

Parts get the section that they need, never the whole.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from engine.config.apps import AppManagerConfig
from engine.config.backends import AdapterConfig, CacheConfig, DatabaseConfig, QueueConfig
from engine.config.base import Flag, Host, Limit, Port, Section, number, whole
from engine.config.limits import ChannelLimits, EventLimits, PresenceLimits, RateLimiterConfig
from engine.config.proxies import NetworkList, ProxyProtocolConfig
from engine.config.server import (
    ConsoleConfig,
    CorsConfig,
    HttpApiConfig,
    IdempotencyConfig,
    LoggingConfig,
    MetricsConfig,
    PathPrefix,
    SslConfig,
    UnixSocketConfig,
    WebSocketConfig,
)
from engine.config.shutdown import ShutdownConfig
from engine.config.webhooks import WebhooksConfig


class Config(Section):
    """Every option with its default (docs/protocol.md 7.2).

    :param host: address to listen on; left out, every one (`0.0.0.0`), but this machine's own (`127.0.0.1`) while an
        application has a secret that everybody knows; `metrics.host` left out is the same.
    :param port: for WebSocket and HTTP; 0 takes a free one and prints it.
    :param debug: write a detailed log.
    :param path_prefix: what stands in front of every path, for an engine that shares a host name.
    :param activity_timeout: seconds of silence after which a client is expected to ping (C-15).
    :param user_authentication_timeout: seconds that a connection may stay unauthorised (U-7).
    :param shutdown_grace_period: seconds that a stop may take, everything included.
    :param max_connections: of one worker; over it a client is sent away with 4100. 0 is no limit.
    :param websocket_max_payload_kb: largest incoming message.
    :param trusted_proxies: who is believed to say, by the PROXY protocol, X-Forwarded-For, X-Forwarded-Proto or
        Forwarded, where a client comes from (docs/client-addresses.md).
    """

    host: Host = "0.0.0.0"
    port: Port = 6001
    debug: Flag = False
    path_prefix: PathPrefix = ""
    activity_timeout: Annotated[int, whole(1, 86_400)] = 30
    user_authentication_timeout: Annotated[float, number(0, 31_536_000)] = 3600.0
    shutdown_grace_period: Annotated[float, number(0, 3600)] = 10.0
    shutdown: ShutdownConfig = Field(default_factory=ShutdownConfig)
    max_connections: Limit = 0
    websocket_max_payload_kb: Annotated[float, number(0, 1024 * 1024)] = 64.0
    app_manager: AppManagerConfig = Field(default_factory=AppManagerConfig)
    adapter: AdapterConfig = Field(default_factory=AdapterConfig)
    database: DatabaseConfig = Field(default_factory=DatabaseConfig)
    cache: CacheConfig = Field(default_factory=CacheConfig)
    queue: QueueConfig = Field(default_factory=QueueConfig)
    webhooks: WebhooksConfig = Field(default_factory=WebhooksConfig)
    channel_limits: ChannelLimits = Field(default_factory=ChannelLimits)
    event_limits: EventLimits = Field(default_factory=EventLimits)
    presence: PresenceLimits = Field(default_factory=PresenceLimits)
    rate_limiter: RateLimiterConfig = Field(default_factory=RateLimiterConfig)
    trusted_proxies: NetworkList = ()
    proxy_protocol: ProxyProtocolConfig = Field(default_factory=ProxyProtocolConfig)
    websocket: WebSocketConfig = Field(default_factory=WebSocketConfig)
    http_api: HttpApiConfig = Field(default_factory=HttpApiConfig)
    idempotency: IdempotencyConfig = Field(default_factory=IdempotencyConfig)
    cors: CorsConfig = Field(default_factory=CorsConfig)
    ssl: SslConfig = Field(default_factory=SslConfig)
    unix_socket: UnixSocketConfig = Field(default_factory=UnixSocketConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    console: ConsoleConfig = Field(default_factory=ConsoleConfig)
    logging: LoggingConfig = Field(default_factory=LoggingConfig)

    @property
    def balancers(self) -> tuple[str, ...]:
        """Networks whose connections begin with a header of the PROXY protocol, where that is enabled."""
        return self.trusted_proxies if self.proxy_protocol.trusted is None else self.proxy_protocol.trusted
