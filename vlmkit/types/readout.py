"""How a choice is read off a model."""

from __future__ import annotations

from typing import ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge, in_

from vlmkit.types.capability import Capability

Normalise = Literal["sum", "mean", "first"]
End = Literal["auto", "always", "never"]


@frozen
class Likelihood:
    """Exact log-probability of each option's text, in nats.

    Args:
        normalise: ``sum`` adds the log-probabilities of all tokens of the text; ``mean`` divides that by their
            number; ``first`` takes the first token alone (options that share it tie, the earlier one wins).
        end: Whether the end-of-turn token counts as part of the text. ``auto`` adds it to just those options whose
            tokens begin another option's ("cat" beside "cat flea"): without it the shorter could never lose.
    """

    requires: ClassVar[Capability] = Capability.LIKELIHOOD
    normalise: Normalise = field(default="sum", validator=in_(("sum", "mean", "first")))
    end: End = field(default="auto", validator=in_(("auto", "always", "never")))


@frozen
class Letter:
    """Log-probability of each option's letter; the prompt shows "A. name" and so on, at most 26 options."""

    requires: ClassVar[Capability] = Capability.LETTER
    limit: ClassVar[int] = 26


@frozen
class Reply:
    """Greedy text, mapped to an option by a named, versioned parser.

    Args:
        parser: Name of the parser (``vlmkit.parsers``).
        max_tokens: Longest reply, in tokens.
        synonyms: Whether a label's synonyms count as its name.
    """

    requires: ClassVar[Capability] = Capability.GENERATE
    parser: str = "exact-raw-v1"
    max_tokens: int = field(default=64, validator=ge(1))
    synonyms: bool = False


Readout = Likelihood | Letter | Reply
"""How a choice is read off a model."""
