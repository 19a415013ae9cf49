"""Several predictions about one task, aggregated as ballots."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest

from vlmkit import Aggregator, Ballot, Classify, LabelSpace, Outcome, Prediction, Round


def agreed(task: Classify, predictions: Sequence[Prediction], aggregator: Aggregator) -> Prediction:
    """Return what predictions about a task amount to; a null prediction is a ballot that counts for nothing.

    Rounds that went out together are one in the trace. The path is that of the first prediction of the same label.
    """
    ranking = aggregator([_ballot(prediction, task.labels) for prediction in predictions])
    rounds = zip_longest(*(prediction.trace for prediction in predictions))
    trace = tuple(_joined([round for round in level if round is not None]) for level in rounds)
    label = ranking.labels[0] if ranking else None
    path = next((prediction.path for prediction in predictions if prediction.label == label), ())
    return Prediction(label, ranking, trace, path=path)


def _ballot(prediction: Prediction, labels: LabelSpace) -> Ballot:
    """Return the ballot that a prediction amounts to; a ranking of one name carries no scores."""
    names = prediction.ranking.labels
    choice = prediction.label if prediction.label in labels.names else None
    return Ballot(
        options=names,
        choice=choice,
        outcome=Outcome.NONE if choice is None else Outcome.SELECTED,
        log_probs=tuple(score for _, score in prediction.ranking) if len(names) > 1 else None,
    )


def _joined(rounds: Sequence[Round]) -> Round:
    """Return the rounds that went out together as one: a label survives if it does in any of them."""
    return Round(
        candidates=max(round.candidates for round in rounds),
        queries=sum(round.queries for round in rounds),
        survivors=tuple(dict.fromkeys(chain.from_iterable(round.survivors for round in rounds))),
        none=sum(round.none for round in rounds),
        invalid=sum(round.invalid for round in rounds),
    )
