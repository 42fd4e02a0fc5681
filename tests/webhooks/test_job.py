"""Jobs: one endpoint's own events only, in order; bytes that survive a queue, and bytes that must not."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._fast.signature import Signer
from engine.app import Filter
from engine.interfaces import Job
from engine.webhooks.event import WebhookEvent, client_event, connection_established
from engine.webhooks.job import MalformedJob, decode, encode, jobs_for, make_job
from tests.webhooks.making import NOW_MS, SECRET, Batches, make_app, make_endpoint, make_event, plain_job

W_V2 = (
    b'{"name":"member_added","channel":"presence-lobby","user_id":"user-456","socket_id":"1234.1234",'
    b'"data":"{\\"user_id\\":\\"user-456\\",\\"user_info\\":{\\"name\\":\\"Bob\\"}}","time_ms":1678886400000}'
)
W_V4 = '{"name":"member_removed","channel":"presence-lobby","user_id":"zoë"}'.encode()


@pytest.mark.parametrize(
    ("event", "time_ms", "digest"),
    [
        (
            WebhookEvent("a", "", "", b'{"name":"channel_occupied","channel":"my-channel"}', ""),
            1327078148132,
            "c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf",
        ),
        (
            WebhookEvent("a", "", "", W_V2, ""),
            1678886400000,
            "7d44bc794e9306036bfb9dcbafcba4aa682828c09572f1ca75621c04ad3023f4",
        ),
        (
            client_event(
                "a", "private-game-room", "client-typing", '{"isTyping":true}', "1234.1234", None, 1678886400300
            ),
            1678886400300,
            "3143e6d8e23687b79462029a96d7cced4cbf79ec02eddef41e3de7d8085f0d7e",
        ),
        (
            WebhookEvent("a", "", "", W_V4, ""),
            1678886400000,
            "8fb4c42a55d06251761f0238721ab7eda12c44bda66f6a586449124c285ab06f",
        ),
    ],
    ids=["W-V1", "W-V2", "W-V3", "W-V4"],
)
def test_vectors(event: WebhookEvent, time_ms: int, digest: str) -> None:
    assert Signer(SECRET).hex(make_job("a", "e", [event], time_ms).body.encode()) == digest


def channels(job: Job) -> list[str]:
    return [event["channel"] for event in json.loads(job.body)["events"]]


def test_each_endpoint_gets_its_own_events_in_batches() -> None:
    app = make_app(make_endpoint("all"), make_endpoint("chat", filter=Filter(channel_prefix="chat-")))
    events = [make_event(name) for name in ("chat-1", "room", "chat-2", "chat-1")]
    jobs = jobs_for(app, events, Batches(size=3), NOW_MS)
    assert [(job.endpoint_id, channels(job), job.channels) for job in jobs] == [
        ("all", ["chat-1", "room", "chat-2"], ("chat-1", "room", "chat-2")),
        ("all", ["chat-1"], ("chat-1",)),
        ("chat", ["chat-1", "chat-2", "chat-1"], ("chat-1", "chat-2")),
    ]
    assert len({job.id for job in jobs}) == 3
    assert all(job.app_id == "app-1" and job.time_ms == NOW_MS == json.loads(job.body)["time_ms"] for job in jobs)


def test_without_batching_each_event_is_its_own_request() -> None:
    jobs = jobs_for(make_app(make_endpoint()), [make_event("a"), make_event("b")], Batches(enabled=False), NOW_MS)
    assert [channels(job) for job in jobs] == [["a"], ["b"]]


def test_nothing_of_another_app_is_told() -> None:
    jobs = jobs_for(make_app(make_endpoint()), [make_event(app_id="app-2")], Batches(), NOW_MS)
    assert jobs == []


def test_connection_events_are_ordered_by_socket() -> None:
    assert make_job("a", "e", [connection_established("a", "1.2", 1)], 1).channels == ("socket 1.2",)


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(texts, texts, texts, st.lists(texts), st.integers(0, 2**53), st.integers(0, 9), st.lists(texts))
def test_a_delayed_job_comes_back_as_it_went(
    app_id: str, endpoint_id: str, body: str, names: list[str], time_ms: int, attempt: int, errors: list[str]
) -> None:
    job = Job("id-1", app_id, endpoint_id, body, tuple(names), time_ms, attempt, errors)
    assert decode(encode(job, delayed=True)) == job
    assert decode(encode(job, dead_ms=5), dead=True) == job


def test_what_is_not_delayed_starts_anew() -> None:
    job = plain_job("j1")
    job.attempt, job.errors = 5, ["status 500"] * 5
    for entry in (encode(job), encode(job, dead_ms=5)):
        assert (decode(entry).attempt, decode(entry).errors) == (0, [])


def test_an_entry_holds_no_secret_and_names_its_line_first() -> None:
    entry = encode(jobs_for(make_app(make_endpoint()), [make_event()], Batches(), NOW_MS)[0])
    assert entry.startswith(b'{"app_id":"app-1","endpoint_id":"e1",')
    assert SECRET.encode() not in entry


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": 5},
        {"id": "a\r\nX-Pusher-Key: b"},
        {"id": "x" * 129},
        {"app_id": None},
        {"endpoint_id": ["e"]},
        {"body": {"time_ms": 1}},
        {"channels": "room"},
        {"channels": [1]},
        {"errors": [None]},
        {"attempt": -1},
        {"attempt": True},
        {"attempt": "1"},
        {"time_ms": 1.5},
    ],
    ids=str,
)
def test_a_changed_entry_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedJob):
        decode(orjson.dumps(orjson.loads(encode(plain_job("j1"))) | change))


@given(st.one_of(st.binary(), st.recursive(st.none() | st.integers(0, 9) | st.text(), st.lists).map(repr)))
def test_any_bytes_are_refused_with_a_reason(entry: bytes | str) -> None:
    with pytest.raises(MalformedJob):
        decode(entry.encode("utf-8", "replace") if isinstance(entry, str) else entry)
