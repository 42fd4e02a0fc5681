"""Clients of one AWS service: made when first used, and every failure of a call in one line.

It imports aiobotocore, an optional dependency, so it must itself be imported only where the configuration asks for AWS.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectionError,
    ConnectTimeoutError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
)

from engine.errors import EngineError
from engine.tasks import within

#: Connections of one client; more than its callers ever use at one time, so that no call waits for another's.
MAX_CONNECTIONS = 10_000
CONNECT_TIMEOUT_S = 5.0
#: Longer than any call may take: callers bound the whole of it.
READ_TIMEOUT_S = 900.0
MAX_MESSAGE_LENGTH = 200
#: Read from disk once, beforehand: it takes some 300 ms, for which no event loop may stand still.
_MODELS = ("service-2", "endpoint-rule-set-1")
_DATA = ("endpoints", "partitions", "sdk-default-configuration")


class Place(NamedTuple):
    """Where a service is called. :param endpoint_url: instead of AWS itself, for a local stand-in."""

    region: str
    endpoint_url: str | None


class Keys(NamedTuple):
    """Credentials from the configuration."""

    access_key_id: str
    secret_access_key: str


class AwsError(EngineError):
    """A call that was refused or never got there. The text is one line with no secret in it.

    :param code: AWS's own word for the refusal, "" when there was no answer.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Aws:
    """Credentials come from the usual chain: environment, shared files, container, instance.

    :param service: such as ``lambda``.
    :param keys: credentials instead of the chain's.
    :param profile: of the shared files, instead of the default one.
    :param socket_factory: makes the socket for an address that is connected to next, or raises OSError.
    """

    def __init__(
        self,
        service: str,
        keys: Keys | None = None,
        profile: str | None = None,
        socket_factory: Callable[..., socket.socket] | None = None,
    ) -> None:
        self._service = service
        self._connector = {} if socket_factory is None else {"socket_factory": socket_factory}
        self._keys = keys
        self._session = get_session()
        if profile is not None:
            self._session.set_config_variable("profile", profile)
        self._clients: dict[Place, Any] = {}
        self._making = asyncio.Lock()

    async def start(self) -> None:
        """Read what the service looks like; nothing is called yet. Raises AwsError where the shared files are wrong."""
        try:
            await asyncio.to_thread(self._load)
        except BotoCoreError as error:
            raise AwsError(str(error)) from error

    def _load(self) -> None:
        loader = self._session.get_component("data_loader")
        for model in _MODELS:
            loader.load_service_model(self._service, model)
        for name in _DATA:
            loader.load_data(name)

    async def stop(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.close()

    async def call(
        self, place: Place, operation: str, timeout_s: float, *, stream: str | None = None, **parameters: Any
    ) -> dict[str, Any]:
        """One call, attempted once. Raises AwsError.

        :param operation: the client's method, such as ``send_message``.
        :param stream: member of the answer that is to be read to its end.
        """
        try:
            async with within(timeout_s):
                client = await self._client(place)
                answer: dict[str, Any] = await getattr(client, operation)(**parameters)
                if stream is not None and stream in answer:
                    async with answer[stream] as reader:
                        answer[stream] = await reader.read()
                return answer
        except (NoCredentialsError, PartialCredentialsError):
            # Perhaps there are some next time, as where a machine's own service for them was slow to start.
            await self._forget(place)
            raise AwsError("no AWS credentials were found") from None
        except ClientError as error:
            raise _refused(error) from error
        except (TimeoutError, ReadTimeoutError) as error:
            raise AwsError(f"no answer within {timeout_s:g} s") from error
        except (ConnectTimeoutError, ConnectionError) as error:
            raise AwsError(f"cannot connect to {_name(self._service, place)}") from error
        except (ConnectionClosedError, HTTPClientError, aiohttp.ClientError, OSError) as error:
            raise AwsError(f"the connection to {_name(self._service, place)} was lost") from error
        except BotoCoreError as error:
            # Its text may show the parameters, which are not for logs.
            raise AwsError(f"{type(error).__name__} before anything was sent") from error
        except (EngineError, AssertionError):
            raise
        except Exception as error:
            # Whatever an answer that is none makes of the library.
            raise AwsError(f"{_name(self._service, place)}: {type(error).__name__}") from error

    async def _client(self, place: Place) -> Any:
        async with self._making:
            client = self._clients.get(place)
            if client is None:
                config = AioConfig(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=READ_TIMEOUT_S,
                    max_pool_connections=MAX_CONNECTIONS,
                    # The caller knows what may be repeated, and when.
                    retries={"total_max_attempts": 1},
                    connector_args=dict(self._connector),
                )
                context = self._session.create_client(
                    self._service,
                    region_name=place.region,
                    endpoint_url=place.endpoint_url,
                    aws_access_key_id=None if self._keys is None else self._keys.access_key_id,
                    aws_secret_access_key=None if self._keys is None else self._keys.secret_access_key,
                    config=config,
                )
                client = self._clients[place] = await context.__aenter__()
            return client

    async def _forget(self, place: Place) -> None:
        client = self._clients.pop(place, None)
        if client is not None:
            await client.close()


def _refused(error: ClientError) -> AwsError:
    said = error.response.get("Error", {})
    code = str(said.get("Code") or "refused")
    # Further lines of a refused signature show the request with its session token.
    message = str(said.get("Message") or "").partition("\n")[0][:MAX_MESSAGE_LENGTH]
    return AwsError(f"{code}: {message}" if message else code, code)


def _name(service: str, place: Place) -> str:
    return f"{service} in {place.region}" if place.endpoint_url is None else f"{service}'s endpoint_url"
