"""A query on its way through a local model: as a prompt, as tokens, and back as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from attrs import frozen

from vlmkit.local.sampling import Sampler
from vlmkit.parsers import ballot_from_reply
from vlmkit.types import Answer, Ballot, Choose, Generate, Letter, Query, Reply, Text
from vlmkit.types.labels import NONE_NAME


@frozen(eq=False)
class Asked:
    """A query with its prompt as text and as token ids.

    Args:
        index: Place of the query in its ``answer`` call.
        query: The query.
        prompt: The whole prompt up to the answer.
        tokens: The prompt's token ids.
    """

    index: int
    query: Query
    prompt: str
    tokens: Sequence[int]

    @property
    def limit(self) -> int:
        """Longest reply in tokens; 0 where nothing is generated."""
        if isinstance(self.query, Choose):
            return self.query.readout.max_tokens if isinstance(self.query.readout, Reply) else 0
        return self.query.max_tokens if isinstance(self.query, Generate) else 0

    @property
    def sampler(self) -> Sampler:
        """How the tokens of a reply are chosen."""
        return Sampler(self.query.temperature, self.query.seed) if isinstance(self.query, Generate) else Sampler()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The options' names."""
        assert isinstance(self.query, Choose)
        return tuple(option.name for option in self.query.options)

    @property
    def texts(self) -> list[str]:
        """The candidate answers: letters or names, and None last where it is offered."""
        assert isinstance(self.query, Choose)
        letters = isinstance(self.query.readout, Letter)
        texts = [chr(ord("A") + index) for index in range(len(self.names))] if letters else list(self.names)
        return [*texts, NONE_NAME] if self.query.allow_none else texts

    def worded(self, text: str) -> Answer:
        """Return the answer that a reply makes."""
        if isinstance(self.query, Choose):
            return ballot_from_reply(self.query, text, prompt=self.prompt)
        return Text(text, prompt=self.prompt)

    def scored(self, scores: Sequence[float]) -> Ballot:
        """Return the ballot that the scores of ``texts`` make."""
        count = len(self.names)
        none = scores[count] if len(scores) > count else None
        return Ballot.scored(self.names, scores[:count], none_log_prob=none, prompt=self.prompt)
