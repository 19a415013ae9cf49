"""What an answer cost."""

from __future__ import annotations

from attrs import field, frozen


@frozen
class Tokens:
    """Tokens that went through the language model.

    Args:
        trunk: Tokens of prefilled trunks (images and the text that all questions about them share).
        branch: Tokens after the trunk (options, answers to be scored), without padding.
        generated: Tokens decoded one by one.
    """

    trunk: int = 0
    branch: int = 0
    generated: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.trunk + other.trunk, self.branch + other.branch, self.generated + other.generated)

    @property
    def total(self) -> int:
        """All tokens forwarded."""
        return self.trunk + self.branch + self.generated


@frozen
class Usage:
    """What one answer, example or run cost; usages add up.

    Forwards and seconds of a batch are shared out evenly over the queries that rode in it, so ``forwards`` of one
    query may be a fraction while the sum over a run is the true count.

    Args:
        queries: Questions answered.
        forwards: Language-model forwards.
        images_encoded: Passes of one image through the vision encoder.
        tokens: Tokens through the language model.
        seconds: Seconds spent in the backend.
        retries: Requests to a server that were sent again, because an earlier one failed.
        cost: Price of the tokens, in the currency of the user's price table.
        cached: Those of the queries whose answers came out of the answer cache, or from an equal query of the same
            call; they cost nothing else.
    """

    queries: int = 0
    forwards: float = 0.0
    images_encoded: int = 0
    tokens: Tokens = field(factory=Tokens)
    seconds: float = 0.0
    retries: int = 0
    cost: float = 0.0
    cached: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.queries + other.queries,
            self.forwards + other.forwards,
            self.images_encoded + other.images_encoded,
            self.tokens + other.tokens,
            self.seconds + other.seconds,
            self.retries + other.retries,
            self.cost + other.cost,
            self.cached + other.cached,
        )
