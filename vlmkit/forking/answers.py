"""Reads answers off states: log-probabilities of candidates, and greedy text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import frozen

from vlmkit.forking.states import Continuation, Rows, State
from vlmkit.tokentree.bill import Bill
from vlmkit.tokentree.budget import Budget
from vlmkit.tokentree.trie import Ids

LOGIT_BYTES = 2**28
"""Most bytes of float32 logits held at once."""


@frozen(eq=False)
class Stems:
    """Prompts of one length that have been run.

    Args:
        owners: Index of the query of each row.
        state: The state after them.
        logits: Next-token logits, [n, V].
    """

    owners: Sequence[int]
    state: State
    logits: torch.Tensor


def log_probabilities(
    way: Continuation, stems: Stems, candidates: Sequence[Sequence[Ids]], budget: Budget, bill: Bill
) -> list[list[float]]:
    """Return the log-probability of every candidate after its stem, in nats, summed over its tokens."""
    first = stems.logits.float().log_softmax(-1)
    scores = [
        first[row, torch.tensor([candidate[0] for candidate in mine], device=first.device)].tolist()
        for row, mine in enumerate(candidates)
    ]
    # By length, so that little is padded.
    longer = sorted(
        ((row, index) for row, mine in enumerate(candidates) for index, one in enumerate(mine) if len(one) > 1),
        key=lambda place: len(candidates[place[0]][place[1]]),
    )

    def step(which: range) -> None:
        places = longer[which.start : which.stop]
        targets = [candidates[row][index] for row, index in places]
        owners, parents = [stems.owners[row] for row, _ in places], [row for row, _ in places]
        rows = Rows(owners, [target[:-1] for target in targets], parents)
        width = rows.ids.shape[1]
        logits, _ = way.extend(stems.state, rows, width, bill)
        log_probs = logits.float().log_softmax(-1)
        for (row, index), target, found in zip(places, targets, log_probs, strict=True):
            rest = torch.tensor(target[1:], device=found.device)
            later = found[torch.arange(len(rest), device=found.device), rest].sum()
            scores[row][index] = float(first[row, target[0]] + later)

    vocabulary = first.shape[-1]
    # A forked row holds a copy of what it continues; with few tokens behind it, its logits weigh more.
    heaviest = max(1, LOGIT_BYTES // (4 * vocabulary))
    costs = []
    for row, index in longer:
        new = len(candidates[row][index]) - 1
        costs.append(max(len(stems.state) + new, -(-new * budget.tokens // heaviest)))
    budget.run(costs, step)
    return scores


def greedy(way: Continuation, stems: Stems, limits: Sequence[int], ends: Sequence[int], bill: Bill) -> list[list[int]]:
    """Return the most likely continuation of every stem, token by token, up to an end token; uses the state up."""
    replies: list[list[int]] = [[] for _ in stems.owners]
    growing = list(range(len(replies)))
    state, logits = stems.state, stems.logits
    while True:
        for place, token in zip(growing, logits.argmax(-1).tolist(), strict=True):
            replies[place].append(token)
        kept = [
            row
            for row, place in enumerate(growing)
            if replies[place][-1] not in ends and len(replies[place]) < limits[place]
        ]
        if not kept:
            return [[token for token in reply if token not in ends] for reply in replies]
        parents = None if len(kept) == len(growing) else kept
        growing = [growing[row] for row in kept]
        owners = [stems.owners[place] for place in growing]
        rows = Rows(owners, [replies[place][-1:] for place in growing], parents, kind="generated")
        found, state = way.extend(state, rows, 1, bill)
        logits = found[:, -1]
