"""Who may look: the password, attempts to give it, and the sessions of those who did.

Nothing here knows HTTP. Sessions live in this process alone; they end with it, and when the password is changed.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

#: A session ends so long after it began, and sooner when nothing was asked in it.
SESSION_S = 12 * 3600.0
IDLE_S = 3600.0
MAX_SESSIONS = 100
#: Wrong passwords from one address, and from all addresses together, in each window.
WINDOW_S = 60.0
MAX_FAILURES = 5
MAX_ALL_FAILURES = 100
#: Addresses whose failures are remembered.
MAX_ADDRESSES = 10_000


class TooManyAttempts(Exception):
    """:ivar retry_after_s: when the next one is looked at."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Session:
    """:ivar token: what the browser's cookie holds. :ivar csrf: what each request that changes something must show."""

    token: str
    csrf: str
    ends_at: float
    idle_at: float


class Sessions:
    """:param clock: seconds, monotonic."""

    def __init__(self, password: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._expected = self._digest(password)
        self._sessions: dict[str, Session] = {}
        self._attempts = _Attempts(clock)

    def change_password(self, password: str) -> None:
        """Everybody has to give the new one, where it is another."""
        expected = self._digest(password)
        if not hmac.compare_digest(expected, self._expected):
            self._expected = expected
            self._sessions.clear()

    def log_in(self, password: str, address: str) -> Session | None:
        """A new session; None for a wrong password. Raises TooManyAttempts before it looks at the password."""
        self._attempts.check(address)
        if not hmac.compare_digest(self._digest(password), self._expected):
            self._attempts.failed(address)
            return None
        self._attempts.succeeded(address)
        now = self._clock()
        if len(self._sessions) >= MAX_SESSIONS:
            self._sessions = {token: each for token, each in self._sessions.items() if _lives(each, now)}
            if len(self._sessions) >= MAX_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
        session = Session(secrets.token_urlsafe(32), secrets.token_urlsafe(32), now + SESSION_S, now + IDLE_S)
        self._sessions[session.token] = session
        return session

    def find(self, token: str) -> Session | None:
        """The living session of this token, which lives on for being asked for."""
        session, now = self._sessions.get(token), self._clock()
        if session is None:
            return None
        if not _lives(session, now):
            del self._sessions[token]
            return None
        session.idle_at = now + IDLE_S
        return session

    def shows_csrf(self, session: Session, shown: str) -> bool:
        """Whether a request was made by our own page."""
        return hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), session.csrf.encode())

    def log_out(self, session: Session) -> None:
        self._sessions.pop(session.token, None)

    def _digest(self, password: str) -> bytes:
        """Of one length for all, so that the comparison tells nothing."""
        return hmac.digest(self._key, password.encode("utf-8", "surrogatepass"), "sha256")


class _Attempts:
    """Wrong passwords in the present window."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._ends_at = 0.0
        self._failures: dict[str, int] = {}
        self._all = 0

    def check(self, address: str) -> None:
        now = self._clock()
        if now >= self._ends_at:
            self._failures.clear()
            self._all = 0
        elif self._failures.get(_network(address), 0) >= MAX_FAILURES or self._all >= MAX_ALL_FAILURES:
            raise TooManyAttempts(self._ends_at - now)

    def failed(self, address: str) -> None:
        now, network = self._clock(), _network(address)
        if now >= self._ends_at:
            self._ends_at = now + WINDOW_S
        self._all += 1
        if network in self._failures or len(self._failures) < MAX_ADDRESSES:
            self._failures[network] = self._failures.get(network, 0) + 1

    def succeeded(self, address: str) -> None:
        self._failures.pop(_network(address), None)


def _lives(session: Session, now: float) -> bool:
    return now < session.ends_at and now < session.idle_at


def _network(address: str) -> str:
    """Who has one IPv6 address has 2^64 of them."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address.partition('%')[0]}/64", strict=False))
    except ValueError:
        return address
