"""When to ask again, and how long to wait before."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

FIRST_WAIT = 0.5
"""Wait before the first retry, in seconds; each further wait is twice as long."""

LONGEST_WAIT = 30.0
"""Longest wait that the server did not ask for, in seconds."""

LONGEST_ASKED = 600.0
"""Longest Retry-After that is waited for, in seconds; beyond it the request fails."""

_TRANSIENT = (408, 409, 429)

_jitter = random.Random()  # of its own: what a run draws must not depend on how a server felt


def is_transient(status: int) -> bool:
    """Return whether the same request may succeed later."""
    return status in _TRANSIENT or status >= 500


def is_overload(status: int) -> bool:
    """Return whether the server would do better with fewer requests at once."""
    return status == 429 or status >= 500


def wait_before(retry: int, headers: Mapping[str, str]) -> float:
    """Return the seconds to wait before a retry: what the server asks for, else exponential back-off with jitter.

    Args:
        retry: Number of the retry, from 1.
        headers: Of the response that failed.
    """
    asked = retry_after(headers)
    if asked is not None:
        return asked
    return min(LONGEST_WAIT, FIRST_WAIT * 2.0 ** (retry - 1)) * _jitter.uniform(0.5, 1.0)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the header ``Retry-After``, a number of seconds or a date, as seconds from now; None without one."""
    value = headers.get("retry-after", "").strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
