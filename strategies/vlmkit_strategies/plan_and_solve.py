"""Plan-and-solve: make a plan, carry it out, then choose."""

from __future__ import annotations

from attrs import frozen

from vlmkit import Classify
from vlmkit_strategies.cot import LEAD
from vlmkit_strategies.preamble import Preamble, reasoned

TRIGGER = (
    "Let's first understand the problem and devise a plan to solve the problem. "
    "Then, let's carry out the plan and solve the problem step by step."
)
"""Published wording."""


@frozen
class PlanAndSolve(Preamble):
    """Lets the model plan and reason over all labels in free text; the inner strategy chooses, given that text.

    It is ``cot`` with another trigger: that of PS prompting, whose longer form PS+ is about arithmetic.

    Source: arXiv 2305.04091 (plan-and-solve prompting).
    """

    lead = LEAD

    def request(self, task: Classify) -> str:
        """Return the question over all labels, with the trigger at its end."""
        return reasoned(task, TRIGGER)
