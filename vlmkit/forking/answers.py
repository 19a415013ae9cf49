"""Reads answers off states: log-probabilities of candidates, and text."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import frozen

from vlmkit.forking.states import Continuation, Rows, State
from vlmkit.local.bill import Bill
from vlmkit.local.budget import Budget, logit_rows
from vlmkit.local.candidates import Ids
from vlmkit.local.sampling import Sampler, next_tokens


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
    runs = sorted(
        ((row, path, indices) for row, mine in enumerate(candidates) for path, indices in _runs(mine).items()),
        key=lambda run: len(run[1]),
    )

    def step(which: range) -> None:
        chosen = runs[which.start : which.stop]
        parents = [row for row, _, _ in chosen]
        rows = Rows([stems.owners[row] for row in parents], [path for _, path, _ in chosen], parents)
        logits, _ = way.extend(stems.state, rows, rows.ids.shape[1], bill)
        for (row, _, indices), found in zip(chosen, logits.float().log_softmax(-1), strict=True):
            for index in indices:
                candidate = candidates[row][index]
                later = torch.tensor(candidate[1:], device=found.device)
                places = torch.arange(len(later), device=found.device)
                scores[row][index] = float(first[row, candidate[0]] + found[places, later].sum())

    # A forked row holds a copy of what it continues; with few tokens behind it, its logits weigh more.
    most = logit_rows(first.shape[-1], first.device)
    budget.run([max(len(stems.state) + len(path), -(-len(path) * budget.tokens // most)) for _, path, _ in runs], step)
    return scores


def _runs(candidates: Sequence[Ids]) -> dict[Ids, list[int]]:
    """Return what must be run to score candidates, their last tokens left out, and who is read off each run.

    A candidate whose tokens begin another one's is read off that one's run; one of a single token needs none.
    """
    runs: dict[Ids, list[int]] = {}
    longest: Ids = ()
    for index in sorted(range(len(candidates)), key=lambda i: candidates[i][:-1], reverse=True):
        path = candidates[index][:-1]
        if longest[: len(path)] != path:
            longest = path
        if path:
            runs.setdefault(longest, []).append(index)
    return runs


def replies_to(
    stems: Stems,
    way: Continuation,
    limits: Sequence[int],
    samplers: Sequence[Sampler],
    ends: Sequence[int],
    bill: Bill,
) -> list[list[int]]:
    """Return a continuation of every stem, made token by token up to an end token; uses the state up."""
    replies: list[list[int]] = [[] for _ in stems.owners]
    growing = list(range(len(replies)))
    state, logits = stems.state, stems.logits
    while True:
        chosen = next_tokens(logits, [samplers[place] for place in growing], [len(replies[place]) for place in growing])
        for place, token in zip(growing, chosen, strict=True):
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
