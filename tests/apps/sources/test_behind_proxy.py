"""A database behind something that cuts, resets, delays, answers nonsense or hangs up within a reply."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import SourceUnavailable
from tests.apps.sources.bench import ONE, SOCKUDO, fresh_table, source_of
from tests.apps.sources.test_dynamodb import source_of as dynamodb_source
from tests.support.aws import MotoAws, dynamodb_table, use_credentials
from tests.support.bad_proxy import BAD, BadProxy, Mode, endured
from tests.support.databases import DatabaseServer


@pytest.mark.parametrize("mode", BAD)
def test_a_table(mode: Mode, server: DatabaseServer) -> None:
    async def scene(table: str, proxy: BadProxy) -> None:
        async with source_of(server, table, port=proxy.port) as source:
            await endured(proxy, mode, source.read, SourceUnavailable)

    with fresh_table(server, SOCKUDO, ONE) as table, BadProxy(server.port) as proxy:
        asyncio.run(scene(table, proxy))


@pytest.mark.parametrize("mode", BAD)
async def test_dynamodb(mode: Mode, aws: MotoAws, monkeypatch: pytest.MonkeyPatch) -> None:
    use_credentials(monkeypatch.setenv)
    with dynamodb_table(aws, f"behind-{mode}", "id") as table, BadProxy(int(aws.url.rpartition(":")[2])) as proxy:
        async with dynamodb_source(f"http://127.0.0.1:{proxy.port}", table.name) as source:
            await endured(proxy, mode, source.read, SourceUnavailable)
