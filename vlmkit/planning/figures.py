"""The figures of a plan. Where a model's tokens cannot be counted they are None."""

from __future__ import annotations

from typing import Literal

from attrs import frozen


@frozen
class Flops:
    """Matrix-multiply FLOPs.

    Args:
        text: Of the language model.
        vision: Of the vision tower.
    """

    text: float
    vision: float

    @property
    def total(self) -> float:
        """Of both."""
        return self.text + self.vision


@frozen
class Figures:
    """What an example costs in the mean.

    Args:
        queries: Questions.
        rounds: Rounds of questions that wait for each other.
        forwards: Language-model forwards; a fraction where examples share them.
        images_encoded: Passes of an image through the vision tower.
        trunk: Tokens of trunks.
        branch: Tokens after the trunk.
        generated_at_most: Tokens decoded one by one, if every reply were as long as it may be.
        flops: Matrix-multiply FLOPs; None also where the architecture has no formula here.
    """

    queries: float
    rounds: float
    forwards: float | None = None
    images_encoded: float | None = None
    trunk: float | None = None
    branch: float | None = None
    generated_at_most: float | None = None
    flops: Flops | None = None

    @property
    def tokens(self) -> float | None:
        """Tokens of all kinds."""
        if self.trunk is None or self.branch is None or self.generated_at_most is None:
            return None
        return self.trunk + self.branch + self.generated_at_most

    @property
    def total_flops(self) -> float | None:
        """FLOPs of both parts of the model."""
        return None if self.flops is None else self.flops.total


@frozen
class Rate:
    """How fast tokens go through.

    Args:
        tokens_per_second: Tokens of all kinds a second.
        source: Whether the user gave it or the model was timed.
    """

    tokens_per_second: float
    source: Literal["given", "measured"]


@frozen
class Planned:
    """One strategy's part of a plan.

    Args:
        strategy: Its spec.
        per_example: What an example costs in the mean over those that were driven.
        failed: Examples among them that failed, such as pictures that cannot be read; in no other figure.
        trunk_bytes: Keys and values of the trunks of one example, in bytes.
        rate: How fast tokens go through, where it is known.
    """

    strategy: str
    per_example: Figures
    failed: int
    trunk_bytes: float | None
    rate: Rate | None

    @property
    def seconds_per_example(self) -> float | None:
        """Estimated seconds in the model."""
        tokens = self.per_example.tokens
        return None if self.rate is None or tokens is None else tokens / self.rate.tokens_per_second


@frozen
class Weights:
    """What a model's weights take.

    Args:
        parameters: Their number.
        dtype: Their precision.
        bytes: Their size.
        kv_bytes: Bytes of one token's keys and values.
        trunk_bytes_at_most: Bytes that trunks may take together.
    """

    parameters: int
    dtype: str
    bytes: int
    kv_bytes: int
    trunk_bytes_at_most: int


@frozen
class Plan:
    """What a run would cost.

    Args:
        model: The model, as the user called it.
        data: Spec of the data set.
        labels: Number of labels.
        examples: Examples of the run.
        driven: Examples that the strategies were driven on.
        strategies: One part for each strategy.
        weights: What the weights take, where tokens can be counted.
        notes: What cannot be said, and why.
    """

    model: str
    data: str
    labels: int
    examples: int
    driven: int
    strategies: tuple[Planned, ...]
    weights: Weights | None
    notes: tuple[str, ...]
