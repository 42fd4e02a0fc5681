"""The short form of `make chaos`: every kind of fault once, on real processes. Its judge sees what is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.chaos.judge import play
from tests.chaos.ledger import Ledger
from tests.chaos.plan import FAULTS, Plan
from tests.support.receiver import Answer, Received, WebhookReceiver
from tests.support.signing import sign

SECRET = "secret"


@pytest.mark.timeout(240)
def test_what_is_told_comes_right_whatever_is_killed() -> None:
    print(play(Plan.of(seed=2, seconds=10.0, guests=100)))


def test_a_seed_stands_for_one_schedule() -> None:
    assert Plan.of(7, 100.0, 10) == Plan.of(7, 100.0, 10)
    assert Plan.of(7, 100.0, 10).faults != Plan.of(8, 100.0, 10).faults


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_of_fault_comes(seed: int) -> None:
    assert {fault.kind for fault in Plan.of(seed, 10.0, 10).faults} == set(FAULTS)


def test_what_comes_again_is_taken_once() -> None:
    ledger = _told(("a", 1, "deaf", _event("channel_occupied", 1)), ("a", 2, 200, _event("channel_occupied", 1)))
    assert (ledger.faults, ledger.wrong_stories()) == ([], {})
    assert ledger.belief().occupied == {"room"}
    assert (ledger.counts["duplicates"], ledger.counts["retries"], ledger.counts["events"]) == (1, 1, 1)


def test_what_was_not_taken_is_not_believed() -> None:
    occupied = _event("channel_occupied", 1)
    assert _told(("a", 1, 500, occupied), ("a", 2, "hang", occupied)).belief().occupied == set()


def test_an_event_under_two_ids_is_seen() -> None:
    ledger = _told(("a", 1, 200, _event("channel_occupied", 1)), ("b", 1, 200, _event("channel_occupied", 1)))
    [fault] = ledger.faults
    assert "came in job a and in job b" in fault
    assert list(ledger.wrong_stories()) == ["room"]


def test_an_id_with_another_content_is_seen() -> None:
    ledger = _told(("a", 1, 500, _event("channel_occupied", 1)), ("a", 2, 200, _event("channel_occupied", 2)))
    [fault] = ledger.faults
    assert "its body is another one" in fault


def test_a_wrong_signature_is_seen() -> None:
    [fault] = _told(("a", 1, 200, _event("channel_occupied", 1)), secret="another").faults
    assert "signature is wrong" in fault


def test_an_order_turned_around_is_seen() -> None:
    ledger = _told(
        ("a", 1, 200, _event("channel_occupied", 1)),
        ("b", 1, 200, _event("channel_occupied", 3)),
        ("c", 1, 200, _event("channel_vacated", 2)),
    )
    assert ledger.faults == []
    assert len(ledger.wrong_stories()["room"]) == 2


def _event(name: str, seq: int) -> dict[str, Any]:
    return {"name": name, "channel": "room", "time_ms": 1, "seq": seq}


def _told(*requests: tuple[str, int, Answer, Mapping[str, Any]], secret: str = SECRET) -> Ledger:
    """What a ledger makes of requests: id, attempt, what was answered, and the one event."""
    receiver = WebhookReceiver()
    for id, attempt, answer, event in requests:
        body = json.dumps({"time_ms": 1, "events": [event]}).encode()
        headers = {
            "x-webhook-id": id,
            "x-webhook-attempt": str(attempt),
            "x-pusher-signature": f"sha256={sign(secret, body)}",
        }
        receiver.requests.append(Received("/hook", "", headers, body, 0.0, answer))
    ledger = Ledger(receiver, SECRET)
    ledger.read()
    return ledger
