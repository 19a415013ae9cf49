"""Chain of thought: reason first, then choose."""

from __future__ import annotations

from attrs import frozen

from vlmkit import Classify
from vlmkit_strategies.preamble import Preamble, reasoned

TRIGGER = "Let's think step by step."
"""Published wording."""

LEAD = "Thoughts on the image:"
"""What stands before a chain of thought in the questions that follow it."""


@frozen
class ChainOfThought(Preamble):
    """Lets the model reason over all labels in free text; the inner strategy chooses, given that text.

    The two stages and the words that trigger the first are published; the question around them is ours.

    Source: arXiv 2205.11916 (zero-shot chain of thought).
    """

    lead = LEAD

    def request(self, task: Classify) -> str:
        """Return the question over all labels, with the trigger at its end."""
        return reasoned(task, TRIGGER)
