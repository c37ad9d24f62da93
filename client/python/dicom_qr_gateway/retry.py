from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from dataclasses import dataclass

from .errors import GatewayError

# Caps what Retry-After can ask for: a day.
MAX_RETRY_AFTER = 24 * 60 * 60


@dataclass(frozen=True)
class Retry:
    """Repeats calls that were refused with the status 429 or 503, as a busy gateway or a proxy in front of it refuses them.

    It repeats nothing else: no other status, no failed connection, and no stream that has begun. Each wait takes as long as
    Retry-After asks for, which is a number of seconds or a date. Without that header the first wait takes a second, and each
    further one twice as long as the one before.

    attempts is how often a call sends its request, at least 1. max_wait limits the sum of the waits of a call, in seconds; a
    call whose next wait would exceed it raises its last refusal at once, because an earlier attempt would be refused too.

    on_retry, if given, is called before each wait with the refusal and the seconds. It may raise an exception to stop.

    sleep waits for a number of seconds; if it returns True, the call raises its last refusal. The method wait of a
    threading.Event is such a function: setting the event ends the wait. The default is time.sleep or, for a Stream, a wait
    that close ends. now is the clock for dates, in seconds since 1970.
    """

    attempts: int
    max_wait: float
    on_retry: Callable[[GatewayError, float], object] | None = None
    sleep: Callable[[float], object] | None = None
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if not (self.attempts >= 1 and self.max_wait > 0):
            raise ValueError("a Retry needs at least one attempt and a positive max_wait")


def retry_after(value: str | None, now: float) -> float | None:
    """Returns the seconds that the header Retry-After asks to wait (RFC 9110 section 10.2.3), or None if it is invalid."""
    value = (value or "").strip()
    if value.isascii() and value.isdecimal():
        return float(MAX_RETRY_AFTER if len(value) > 9 else min(int(value), MAX_RETRY_AFTER))
    try:
        date = email.utils.parsedate_to_datetime(value)
        return float(min(max(date.timestamp() - now, 0), MAX_RETRY_AFTER))
    except (ValueError, TypeError, OverflowError):
        return None
