"""Log-probabilities of candidate answers: tries packed into forwards, each edge read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from attrs import frozen

from vlmkit.local.bill import Bill
from vlmkit.local.budget import logit_rows
from vlmkit.local.candidates import Ids, by_mean
from vlmkit.tokentree.executor import Executor
from vlmkit.tokentree.family import Family
from vlmkit.tokentree.packing import ROW_TOKENS, Packed, Row
from vlmkit.tokentree.trie import Branch, grow, split
from vlmkit.tokentree.trunks import Trunk
from vlmkit.types import Readout, Tokens, Usage


@frozen(eq=False)
class Question:
    """One ``Choose``, in tokens.

    Args:
        owner: Index of the query.
        trunk: What is computed already.
        stem: The prompt's tokens after the trunk, at least one.
        candidates: Token ids of every candidate answer.
        readout: How the scores of tokens become the score of a candidate.
    """

    owner: int
    trunk: Trunk
    stem: Sequence[int]
    candidates: Sequence[Ids]
    readout: Readout

    def grown(self) -> Iterator[tuple[list[int], Branch]]:
        """Yield branches that hold all candidates together, each with the indices of its candidates."""
        for part in split(self.candidates, max(1, ROW_TOKENS - len(self.stem))):
            yield part, grow(self.stem, [self.candidates[i] for i in part])


def log_probabilities(executor: Executor, questions: Sequence[Question], bill: Bill) -> list[list[float]]:
    """Return the score of every candidate of every question, in nats.

    Each equals what a plain forward over trunk, stem and that candidate alone would give.
    """
    scores: list[list[float]] = [[0.0] * len(question.candidates) for question in questions]
    branches: list[tuple[int, Branch, Sequence[int]]] = []
    rows: list[Row] = []
    for index, question in enumerate(questions):
        for part, branch in question.grown():
            branches.append((index, branch, part))
            rows.append(_row(question.owner, question.trunk, branch))
            bill.add(question.owner, Usage(tokens=Tokens(branch=len(branch.tokens))))

    def read(which: range, packed: Packed, hidden: torch.Tensor) -> None:
        found = [branches[index] for index in which]
        edges = [
            (first + node, token)
            for (_, branch, _), (first, _) in zip(found, packed.spans, strict=True)
            for node, token in branch.edges
        ]
        values = _edge_log_probs(executor.family, hidden, edges)
        start = 0
        for index, branch, part in found:
            for candidate, path in zip(part, branch.candidates, strict=True):
                total = sum(values[start + edge] for edge in path)
                scores[index][candidate] = total / len(path) if by_mean(questions[index].readout) else total
            start += len(branch.edges)

    executor.run(rows, read, bill)
    return scores


def _row(owner: int, trunk: Trunk, branch: Branch) -> Row:
    axes = trunk.positions.shape[0]
    depths = torch.tensor(branch.depths) + trunk.next_position
    sights = trunk.sees * len(branch.tokens)
    reads = sorted({node for node, _ in branch.edges})
    return Row(owner, branch.tokens, branch.ends, depths.expand(axes, -1), trunk.pieces, sights=sights, reads=reads)


def _edge_log_probs(family: Family, hidden: torch.Tensor, edges: Sequence[tuple[int, int]]) -> list[float]:
    """Return the log-probability of every (position, next token).

    Args:
        family: Gives the log-probabilities.
        hidden: [T, hidden].
        edges: Pairs of index into ``hidden`` and token id.
    """
    positions = torch.tensor([position for position, _ in edges], device=hidden.device)
    tokens = torch.tensor([token for _, token in edges], device=hidden.device)
    rows, row_of = torch.unique(positions, return_inverse=True)
    values = torch.empty(len(edges), device=hidden.device)
    step = logit_rows(family.vocabulary, hidden.device)
    for start in range(0, len(rows), step):
        log_probs = family.log_probs(hidden[rows[start : start + step]])
        here = (row_of >= start) & (row_of < start + step)
        values[here] = log_probs[row_of[here] - start, tokens[here]]
    return [float(value) for value in values.tolist()]
