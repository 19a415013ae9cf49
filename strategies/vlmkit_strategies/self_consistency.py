"""Self-consistency: several chains of thought that are drawn, and the label that most of them lead to."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, gt

from vlmkit import Aggregator, Ask, Capability, Generate, Solving, Strategy, Task, together
from vlmkit_strategies.aggregators.vote import Vote
from vlmkit_strategies.cot import LEAD, TRIGGER
from vlmkit_strategies.opinions import agreed
from vlmkit_strategies.preamble import begun, informed, reasoned


@frozen
class SelfConsistency:
    """Draws chains of thought as ``cot`` asks for them; the inner strategy chooses once for each; the majority wins.

    The seeds of the chains come from the run's seed and the example's id, so what is drawn for an example depends on
    nothing that is asked at the same time. Each inner solving has a seed of its own, so that one that shuffles
    shuffles differently. A free question goes to the inner strategy as it is, and so does a task with fewer than two
    labels.

    Args:
        inner: Who chooses, given a chain.
        samples: Chains; the cost of the inner strategy is multiplied by it. The source draws 40.
        temperature: Temperature at which chains are drawn; the source has 0.5 and 0.7.
        max_tokens: Longest chain, in tokens.
        aggregator: Turns the predictions into the ranking; the default is the source's majority.

    Source: arXiv 2203.11171.
    """

    inner: Strategy
    samples: int = field(default=5, validator=ge(1))
    temperature: float = field(default=0.7, validator=gt(0.0))
    max_tokens: int = field(default=256, validator=ge(1))
    aggregator: Aggregator = field(factory=Vote)

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires, and text that is drawn."""
        return self.inner.requires | {Capability.GENERATE, Capability.SAMPLE}

    def solve(self, task: Task) -> Solving:
        """Solve one task: all chains in one round, then the inner strategy's rounds for all of them together."""
        if isinstance(task, Ask) or len(task.labels) < 2:
            return (yield from self.inner.solve(task))
        # Seeds of 31 bits: some servers take no longer ones.
        rng = task.rng()
        seeds = [rng.getrandbits(31) for _ in range(self.samples)]
        words = reasoned(task, TRIGGER)
        chains = yield [
            Generate(task.images, words, max_tokens=self.max_tokens, temperature=self.temperature, seed=seed)
            for seed in seeds
        ]
        predictions = yield from together(
            [
                self.inner.solve(informed(task.over(task.labels, seed=seed), LEAD, chain.text))
                for seed, chain in zip(seeds, chains, strict=True)
            ]
        )
        return begun(task, self.samples, agreed(task, predictions, self.aggregator))
