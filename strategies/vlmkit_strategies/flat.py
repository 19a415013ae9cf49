"""One question with everything in it: the baseline of every other strategy."""

from __future__ import annotations

from attrs import field, frozen

from vlmkit import Ask, Capability, Likelihood, Prediction, Ranking, Readout, Round, Solving, Task


@frozen
class Flat:
    """Asks once, over all labels; puts the question of an ``Ask`` task as it stands.

    No label gives a null prediction, and one label without ``allow_none`` that label, neither with a question.

    Args:
        readout: How the choice is read off the model.
        allow_none: Whether the model may answer ``None``, which makes the prediction null.
    """

    readout: Readout = field(factory=Likelihood)
    allow_none: bool = False

    @property
    def requires(self) -> frozenset[Capability]:
        """The capability of the readout."""
        return frozenset({self.readout.requires})

    def solve(self, task: Task) -> Solving:
        """Solve one task with at most one query."""
        if isinstance(task, Ask):
            (reply,) = yield [task.generate()]
            return Prediction(label=None, text=reply.text)
        names = task.labels.names
        if not names:
            return Prediction(label=None)
        if len(names) == 1 and not self.allow_none:
            return Prediction(names[0], Ranking(((names[0], 0.0),)))
        (ballot,) = yield [task.choose(task.labels, readout=self.readout, allow_none=self.allow_none)]
        return Prediction(ballot.choice, ballot.ranking, (Round.of(len(names), [ballot]),))
