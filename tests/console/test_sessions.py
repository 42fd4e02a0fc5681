"""The password, how often it may be tried, and the sessions of those who gave it."""

from __future__ import annotations

import pytest

from engine.console import sessions as module
from engine.console.sessions import Session, Sessions, TooManyAttempts

PASSWORD = "correct horse battery"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def sessions(clock: Clock) -> Sessions:
    return Sessions(PASSWORD, clock)


def enter(sessions: Sessions, address: str = "192.0.2.1") -> Session:
    session = sessions.log_in(PASSWORD, address)
    assert session is not None
    return session


def test_the_password_opens_a_session_of_its_own(sessions: Sessions) -> None:
    first, second = enter(sessions), enter(sessions)
    assert len({first.token, second.token, first.csrf, second.csrf}) == 4
    assert sessions.find(first.token) is first
    assert sessions.shows_csrf(first, first.csrf)
    assert not sessions.shows_csrf(first, second.csrf)
    assert not sessions.shows_csrf(first, "ä")
    sessions.log_out(first)
    assert sessions.find(first.token) is None
    assert sessions.find(second.token) is second


@pytest.mark.parametrize("wrong", ["", "correct horse batter", PASSWORD + " ", "\udcff", "x" * 100_000])
def test_any_other_password_opens_none(sessions: Sessions, wrong: str) -> None:
    assert sessions.log_in(wrong, "192.0.2.1") is None
    assert sessions.find("") is None


def test_a_session_ends_when_nothing_is_asked_and_at_its_age(sessions: Sessions, clock: Clock) -> None:
    idle, used = enter(sessions), enter(sessions)
    ends_at = clock.now + module.SESSION_S
    while clock.now < ends_at - module.IDLE_S / 2:
        assert sessions.find(used.token) is used
        clock.now += module.IDLE_S / 2
    assert sessions.find(idle.token) is None
    assert sessions.find(used.token) is used
    clock.now = ends_at
    assert sessions.find(used.token) is None


def test_there_are_only_so_many_sessions(sessions: Sessions) -> None:
    tokens = [enter(sessions).token for _ in range(module.MAX_SESSIONS + 1)]
    assert sessions.find(tokens[0]) is None
    assert all(sessions.find(token) for token in tokens[1:])


def test_another_password_ends_all_sessions_and_the_same_none(sessions: Sessions) -> None:
    token = enter(sessions).token
    sessions.change_password(PASSWORD)
    assert sessions.find(token) is not None
    sessions.change_password("another one entirely")
    assert sessions.find(token) is None
    assert sessions.log_in(PASSWORD, "192.0.2.1") is None
    assert sessions.log_in("another one entirely", "192.0.2.1") is not None


def test_guessing_is_stopped_for_who_guesses(sessions: Sessions, clock: Clock) -> None:
    for _ in range(module.MAX_FAILURES):
        assert sessions.log_in("wrong", "192.0.2.1") is None
    with pytest.raises(TooManyAttempts) as stopped:
        sessions.log_in(PASSWORD, "192.0.2.1")
    assert stopped.value.retry_after_s == module.WINDOW_S
    enter(sessions, "192.0.2.2")
    clock.now += module.WINDOW_S
    enter(sessions)


def test_who_has_many_addresses_is_stopped_as_well(sessions: Sessions) -> None:
    for n in range(module.MAX_FAILURES):
        sessions.log_in("wrong", f"2001:db8::{n:x}")
    with pytest.raises(TooManyAttempts):
        sessions.log_in(PASSWORD, "2001:db8::ffff")
    for n in range(module.MAX_ALL_FAILURES - module.MAX_FAILURES):
        sessions.log_in("wrong", f"198.51.100.{n}")
    with pytest.raises(TooManyAttempts):
        sessions.log_in(PASSWORD, "203.0.113.1")


def test_addresses_that_guess_are_remembered_up_to_a_limit(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ADDRESSES", 1)
    for address in ("192.0.2.1", "192.0.2.2"):
        for _ in range(module.MAX_FAILURES):
            assert sessions.log_in("wrong", address) is None
    enter(sessions, "192.0.2.2")
    with pytest.raises(TooManyAttempts):
        sessions.log_in(PASSWORD, "192.0.2.1")


def test_who_gets_it_right_may_get_it_wrong_again(sessions: Sessions) -> None:
    for _ in range(3):
        for _ in range(module.MAX_FAILURES - 1):
            assert sessions.log_in("wrong", "192.0.2.1") is None
        enter(sessions)
