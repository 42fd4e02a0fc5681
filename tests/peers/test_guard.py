"""Whatever a library raises or an answer breaks is one error to whoever asked, counted once; rounds are tried again."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.client import Pipeline

from engine.app import Retention
from engine.aws import Aws, AwsError, Place
from engine.errors import EngineError, IncarnationGone, StoreUnavailable
from engine.history.redis import RedisHistory
from engine.interfaces import PageQuery, ReplayQuery, Report
from engine.occupancy.redis import RedisOccupancy
from engine.peers.guard import guard, keep
from engine.stores.cache_redis import RedisCache
from engine.stores.idempotency_redis import RedisAnswers
from engine.stores.rate_limit_redis import RedisRateLimiter
from engine.tasks import cancel
from engine.webhooks.queues.redis import RedisQueue
from tests.occupancy.stores import held
from tests.support.waiting import until
from tests.webhooks.making import plain_job

RAISED: tuple[Exception, ...] = (
    RuntimeError("the transport is closed"),
    ValueError("invalid literal"),
    AttributeError("'NoneType' object has no attribute 'write'"),
    struct.error("unpack requires a buffer of 4 bytes"),
    KeyError("Items"),
    IndexError("pop from an empty deque"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    RecursionError("too deep"),
    OSError(104, "reset"),
    EOFError(),
)
#: Replies to nothing that was asked.
NONSENSE: tuple[Any, ...] = (
    b"OK",
    7,
    -1,
    None,
    b"\xff\xfe",
    [],
    [[]],
    [b"0", [b"x"]],
    [1, 1, 1, 1],
    [b"a", b"b", b"c", b"d"],
)
KEPT = Retention(10, 1000, 1000)
REPORT = Report("1", "room", 1, 0)
DRIVERS: dict[str, Callable[[Redis], Any]] = {
    "occupancy": lambda client: RedisOccupancy(client, "p:", "t:", 1),
    "history": lambda client: RedisHistory(client, lambda app_id, channel: (("a", "b"), "")),
    "cache": lambda client: RedisCache(client, "c:"),
    "limits": lambda client: RedisRateLimiter(client, "l:"),
    "idempotency": lambda client: RedisAnswers(client, "i:"),
    "queue": lambda client: RedisQueue(client, "q:", "me"),
}
CALLS: dict[str, dict[str, Callable[[Any], Awaitable[Any]]]] = {
    "occupancy": {
        "join": lambda d: d.join("w"),
        "heartbeat": lambda d: d.heartbeat("w"),
        "report": lambda d: d.report("w", [REPORT]),
        "held": lambda d: held(d, "w"),
        "channels": lambda d: d.channels("1"),
        "counts": lambda d: d.counts("1", ["room"]),
        "totals": lambda d: d.totals("1", ["room"]),
        "members": lambda d: d.members("1", "room"),
        "acquire": lambda d: d.acquire("w", 100),
        "expired": lambda d: d.expired(100),
        "purge": lambda d: d.purge("w", "dead", lambda app_id, channel: (False,) * 3, 10, lambda report: None),
        "due": lambda d: d.due(10),
        "commit": lambda d: d.commit("w", [], [("list", b"{}")]),
        "push": lambda d: d.push([("list", b"{}")]),
        "audit": lambda d: d.audit("w", ["1"], lambda app_id, channel: (False,) * 3, 10),
    },
    "history": {
        "inspect": lambda d: d.inspect("1", "room", KEPT),
        "page": lambda d: d.page("1", "room", KEPT, PageQuery(limit=1)),
        "replay": lambda d: d.replay("1", "room", KEPT, ReplayQuery(), 1000),
        "purge": lambda d: d.purge("1", "room", KEPT, None, None),
    },
    "cache": {"put": lambda d: d.put("1", "cache-a", "e", "d", 1), "get": lambda d: d.get("1", "cache-a")},
    "limits": {"hit": lambda d: d.hit("k", 1, 1)},
    "idempotency": {
        "claim": lambda d: d.claim("1", "k", 1),
        "keep": lambda d: d.keep("1", "k", b"{}", 1),
        "release": lambda d: d.release("1", "k"),
    },
    "queue": {
        "put": lambda d: d.put([plain_job("a")]),
        "attach": lambda d: d.attach(),
        "detach": lambda d: d.detach(),
        "reserve": lambda d: d.reserve(1),
        "resume": lambda d: d.resume("1/e", 1),
        "wait": lambda d: d.wait(0.1),
        "ack": lambda d: d.ack(plain_job("a")),
        "bury": lambda d: d.bury(plain_job("a")),
        "depth": lambda d: d.depth(),
        "dead_letters": lambda d: d.dead_letters(1),
        "requeue": lambda d: d.requeue(None),
        "purge_dead_letters": lambda d: d.purge_dead_letters(),
    },
}
ASKED = [(part, name) for part, calls in CALLS.items() for name in calls]


class BrokenPool(BlockingConnectionPool):
    """Of a library that raises as soon as it is used."""

    error: Exception = RuntimeError()

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        raise self.error


@pytest.mark.parametrize(("part", "name"), ASKED)
async def test_whatever_the_library_raises_is_one_error(part: str, name: str) -> None:
    for error in RAISED:
        pool = BrokenPool()
        pool.error = error
        counted: list[str] = []
        driver = guard(DRIVERS[part](Redis.from_pool(pool)), part, counted.append)
        with pytest.raises(StoreUnavailable):
            await CALLS[part][name](driver)
        assert counted == [part], error


class Parrot(Redis):
    """A client of a server that has one answer to everything."""

    answer: Any = None

    async def execute_command(self, *_: Any, **__: Any) -> Any:
        return self.answer

    def pipeline(self, *_: Any, **__: Any) -> Any:
        return ParrotPipeline(BlockingConnectionPool(), {}, True, None, self.answer)


class ParrotPipeline(Pipeline):
    def __init__(self, *args: Any) -> None:
        *rest, self._answer = args
        super().__init__(*rest)

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        return [self._answer] * len(self.command_stack)


@pytest.mark.parametrize("part", list(CALLS))
async def test_whatever_the_answer_is_nothing_else_comes_of_it(part: str) -> None:
    for answer in NONSENSE:
        client = Parrot()
        client.answer = answer
        for name, call in CALLS[part].items():
            try:
                await call(guard(DRIVERS[part](client), part))
            except (StoreUnavailable, IncarnationGone):
                continue
            except Exception as error:
                raise AssertionError(f"{name} makes {error!r} of {answer!r}") from error


@pytest.mark.parametrize("error", RAISED, ids=lambda error: type(error).__name__)
async def test_a_call_of_aws_raises_one_error(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    aws = Aws("sqs")

    async def client(_: Place) -> Any:
        raise error

    monkeypatch.setattr(aws, "_client", client)
    with pytest.raises(AwsError):
        await aws.call(Place("eu-west-1", None), "send_message", 1)


@pytest.mark.parametrize("error", [AssertionError("impossible"), IncarnationGone("w")], ids=["fault", "told"])
async def test_an_error_of_our_own_stays_what_it_is(error: Exception) -> None:
    class Driver:
        async def ask(self) -> None:
            raise error

    with pytest.raises(type(error)):
        await guard(Driver(), "x").ask()


async def test_a_round_is_done_again_whatever_it_raised_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    left = [*RAISED[:2], EngineError("told")]
    done = asyncio.Event()

    async def round_() -> None:
        if left:
            raise left.pop()
        done.set()
        await asyncio.sleep(3600)

    task = keep(round_, "link")
    await until(done.is_set)
    assert not task.done()
    assert [record.levelname for record in caplog.records if record.name == "engine.peers.guard"][:1] == ["WARNING"]
    assert sum(record.levelname == "WARNING" for record in caplog.records) == 1
    await cancel(task)
