"""How well probes do on the test part, level by level and over whole paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vlmkit.measures import wilson
from vlmkit.runs import to_json
from vlmkit_hierarchy.graded import Graded
from vlmkit_hierarchy.probes.heads import Scaler, train_head
from vlmkit_hierarchy.probes.targets import UNGRADED, Targets
from vlmkit_hierarchy.summary import figures


def probe(
    features: NDArray[np.float32], targets: Targets, parts: Mapping[str, NDArray[np.int64]], device: torch.device
) -> dict[str, Any]:
    """Train a head for each level and judge all of them on the test part, as plain JSON values.

    Proportions come with ``chance``: how often the heads' answers would be right if they had nothing to do with what
    they are about, that is if they were dealt out anew over the test part (the expected agreement of Cohen's kappa).

    Args:
        features: float32 [rows, hidden].
        targets: What is to be learnt of each row.
        parts: The rows of each part, as ``Split`` gives them.
        device: Where the heads are trained.

    Source: arXiv 2505.24840: one linear layer a level, and a path is right where all of them are. There the best epoch
        is chosen on the test part; here nothing is.
    """
    tensor = torch.from_numpy(features).to(device)
    scaled = Scaler.of(tensor[parts["train"]])(tensor)
    test, depth = parts["test"], targets.classes.shape[1]
    answers = np.empty((len(test), depth), dtype=np.int64)
    heads = []
    for level in range(depth):
        classes = torch.from_numpy(targets.classes[:, level]).to(device)
        graded = {part: rows[targets.classes[rows, level] != UNGRADED] for part, rows in parts.items()}
        train, validation = ((scaled[graded[part]], classes[graded[part]]) for part in ("train", "validation"))
        head = train_head(train, validation, len(targets.names[level]))
        answers[:, level] = head.predict(scaled[test])
        heads.append({"classes": len(targets.names[level]), "decay": head.decay, "validation": head.validation})
    right = targets.classes[test]
    found = figures(_graded(right, answers, targets.names))
    found["hca"] = _proportion(found["hca"], right, answers)
    ends = (right != UNGRADED).sum(1) - 1
    rows = np.arange(len(test))
    # Of a ragged tree the leaves stand at several levels: which one, goes with the leaf.
    leaves, last = np.full_like(right, UNGRADED), right[rows, ends]
    leaves[rows, ends] = last
    found["leaf_accuracy"] = _proportion(found["leaf_accuracy"], leaves, answers)
    found["level_accuracy"] = [
        {**_proportion(one, *_level(right, answers, one["depth"] - 1)), **head}
        for one, head in zip(found["level_accuracy"], heads, strict=True)
    ]
    return found


def _graded(right: NDArray[np.int64], answers: NDArray[np.int64], names: Sequence[Sequence[str]]) -> list[Graded]:
    graded = []
    for row, (path, said) in enumerate(zip(right.tolist(), answers.tolist(), strict=True)):
        length = sum(place != UNGRADED for place in path)
        target, predicted = (
            [level[place] for level, place in zip(names, places[:length], strict=False)] for places in (path, said)
        )
        graded.append(Graded(str(row), range(1, length + 1), target, predicted))
    return graded


def _level(
    right: NDArray[np.int64], answers: NDArray[np.int64], level: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    graded = right[:, level] != UNGRADED
    return right[graded, level : level + 1], answers[graded, level : level + 1]


def _proportion(figure: Mapping[str, Any], right: NDArray[np.int64], answers: NDArray[np.int64]) -> dict[str, Any]:
    """Give a proportion its chance, and the interval of independent trials: every subject counts once."""
    interval = wilson(round(figure["value"] * len(right)), len(right))
    return {**figure, **to_json(interval), "chance": _chance(right, answers)}


def _chance(right: NDArray[np.int64], answers: NDArray[np.int64]) -> float:
    """Return how often an answer drawn from all answers is right at every graded level of a target."""
    kinds, times = np.unique(right, axis=0, return_counts=True)
    hits = [float(((answers == kind) | (kind == UNGRADED)).all(1).mean()) for kind in kinds]
    return float(np.average(hits, weights=times))
