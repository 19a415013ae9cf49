"""How well probes do on the test part, level by level and over whole paths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vlmkit_hierarchy.graded import Pair
from vlmkit_hierarchy.probes.heads import Scaler, train_head
from vlmkit_hierarchy.probes.targets import UNGRADED, Targets
from vlmkit_hierarchy.summary import Grading


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
    found = Grading().figures(_pairs(right, answers, targets.names))
    rows, ends = np.arange(len(test)), (right != UNGRADED).sum(1) - 1
    leaves = np.full_like(right, UNGRADED)
    leaves[rows, ends] = right[rows, ends]
    found["hca"]["chance"] = _chance(right, answers)
    found["leaf_accuracy"]["chance"] = _chance(leaves, answers)
    for level, (one, about) in enumerate(zip(found["level_accuracy"], heads, strict=True)):
        graded = right[:, level] != UNGRADED
        one |= {"chance": _chance(right[graded, level, None], answers[graded, level, None]), **about}
    return found


def _pairs(right: NDArray[np.int64], answers: NDArray[np.int64], names: Sequence[Sequence[str]]) -> Iterator[Pair]:
    """Yield right and answered paths by name, as far as the right ones go."""
    for row, (path, said) in enumerate(zip(right.tolist(), answers.tolist(), strict=True)):
        length = sum(place != UNGRADED for place in path)
        target, predicted = (
            [level[place] for level, place in zip(names, places[:length], strict=False)] for places in (path, said)
        )
        yield str(row), target, predicted


def _chance(right: NDArray[np.int64], answers: NDArray[np.int64]) -> float:
    """Return how often an answer drawn from all answers is right at every graded level of a target."""
    kinds, times = np.unique(right, axis=0, return_counts=True)
    hits = [float(((answers == kind) | (kind == UNGRADED)).all(1).mean()) for kind in kinds]
    return float(np.average(hits, weights=times))
