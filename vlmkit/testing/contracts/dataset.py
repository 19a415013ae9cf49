"""What every data set promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice

from vlmkit.contracts import Dataset, Skims
from vlmkit.data.images import open_image
from vlmkit.testing.contracts.rules import Rules
from vlmkit.types import Example, LabelSpace

_OPENED = 3
"""Examples whose pictures are decoded."""


def check_dataset(dataset: Dataset) -> None:
    """Hold a data set to its contract.

    Its labels are a ``LabelSpace``. It iterates over as many ``Example`` as it says, again and again the same, each
    with an id of its own, and with a target that is one of the labels or None. The pictures of the first three decode.
    What ``skim()`` tells, where there is one, is the same. Give it a small one: it is read several times.

    Raises:
        ContractError: It breaks a rule.
    """
    rules = Rules(type(dataset).__name__)
    with rules.no_error("labels and len() must raise nothing"):
        labels, size = dataset.labels, len(dataset)
    rules.demand(isinstance(labels, LabelSpace), "labels must be a LabelSpace", f"it is a {type(labels).__name__}")
    told = _read(rules, dataset.__iter__, "iterating must raise nothing")
    rules.demand(size == len(told), "len() must count the examples", f"{size} are {len(told)}")
    twice = [name for name, times in Counter(name for name, _, _ in told).items() if times > 1]
    rules.demand(not twice, "each example must have an id of its own", f"{twice[:3]} stand several times")
    strange = [target for _, target, _ in told if target is not None and target not in labels.names]
    rules.demand(not strange, "targets must be labels", f"{strange[:3]} are none")
    again = _read(rules, dataset.__iter__, "iterating again must raise nothing")
    rules.demand(again == told, "iterating again must give the same examples", "they differ")
    if isinstance(dataset, Skims):
        skimmed = _read(rules, dataset.skim, "skimming must raise nothing")
        rules.demand(skimmed == told, "skim() must tell the same ids, targets and questions", "they differ")
    with rules.no_error("the first pictures must decode"):
        for example in islice(dataset, _OPENED):
            for source in example.images:
                open_image(source, name=example.id)


def _read(
    rules: Rules, examples: Callable[[], Iterator[Example]], rule: str
) -> list[tuple[str, str | None, str | None]]:
    with rules.no_error(rule):
        read = list(examples())
    other = [type(example).__name__ for example in read if not isinstance(example, Example)]
    rules.demand(not other, "an Example must come", f"a {other[:1]} came")
    return [(example.id, example.target, example.question) for example in read]
