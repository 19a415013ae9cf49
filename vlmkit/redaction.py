"""Text that may be shown: without secrets, and without characters that a terminal would obey."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

HIDDEN = "***"
"""Stands where a secret stood."""

# One slash is what a path leaves of two. The last form of a user is that of a password with an unescaped "/", "?"
# or "#".
_ADDRESS = re.compile(
    r"""(?<![a-z0-9+.-]) (?P<scheme>[a-z][a-z0-9+.-]+:/{1,2})
        (?P<user>[^\s/?#"'<>]*@ | [^\s/?#"'<>:]*:[^\s"'<>]*@)?  (?P<place>[^\s?#"'<>]*)
        (?P<query>\?(?:[^\s#"'<>]*[^\s#"'<>:;,.)])?)?  (?P<fragment>\#(?:[^\s"'<>]*[^\s"'<>:;,.)])?)?""",
    re.IGNORECASE | re.VERBOSE,
)

_KEYS = r"(?:(?:api|access|secret|private|auth|subscription)[_-]?key|password|passwd|secret)"

_NAMED = re.compile(
    rf"""(?P<name>(?<![\w/.-])[\w-]{{0,40}}?
         (?:{_KEYS}["']?\s*[:=] | (?:token|credentials?)(?:["']?\s*=|["']\s*:))\s*)
         (?:"[^"]*" | '[^']*' | [^\s"',;&)\]}}]+)""",
    re.IGNORECASE | re.VERBOSE,
)

_AUTHORIZATION = re.compile(
    r"""(?P<name>\bauthorization["']?\s*[=:]\s*["']?(?:\w+\s+(?=\S))? | \bbearer\s+(?=\S{8}))  [^\s"',;]+""",
    re.IGNORECASE | re.VERBOSE,
)

_KNOWN = re.compile(r"\b(?:sk-|hf_|ghp_|github_pat_|glpat-|xox[a-z]-|AKIA|AIza|eyJ)[\w.%~-]{16,}")

_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Classes of characters by which a text turns its direction of writing, and so may look like another."""


def redacted(text: str) -> str:
    """Return a text without the secrets that can be told by their form.

    They are: user, password, query and fragment of an address (all of a query, as no list of the names of secrets is
    complete), the value of what is named ``token``, ``password``, ``api_key`` and the like, what follows
    ``Authorization`` or ``Bearer``, and keys with a well-known beginning.
    """
    text = _ADDRESS.sub(_bare, text)
    for pattern in (_AUTHORIZATION, _NAMED):
        text = pattern.sub(rf"\g<name>{HIDDEN}", text)
    return _KNOWN.sub(HIDDEN, text)


def redacted_values(value: Any) -> Any:
    """Return plain JSON values whose texts are ``redacted``; the text under a key that names a secret is hidden."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: HIDDEN if _names_secret(key, one) else redacted_values(one) for key, one in value.items()}
    return [redacted_values(one) for one in value] if isinstance(value, list | tuple) else value


def _names_secret(key: Any, value: Any) -> bool:
    return isinstance(value, str) and redacted(f"{key}=x") == f"{key}={HIDDEN}"


def visible(text: str) -> str:
    r"""Return a text in which characters that steer a terminal or turn its direction of writing are escapes.

    Line breaks and tabs stay; ``ESC`` becomes ``\x1b``.
    """
    return "".join(one if one in "\n\t" or one.isprintable() else _escape(one) for one in text)


def _bare(found: re.Match[str]) -> str:
    user = f"{HIDDEN}@" if found["user"] else ""
    query = f"?{HIDDEN}" if found["query"] else ""
    fragment = f"#{HIDDEN}" if found["fragment"] else ""
    return f"{found['scheme']}{user}{found['place']}{query}{fragment}"


def _escape(one: str) -> str:
    steers = unicodedata.category(one) == "Cc" or unicodedata.bidirectional(one) in _TURNS
    return one.encode("unicode_escape").decode() if steers else one
