"""The strategy ``shortlist``: retrieve labels with one model, then ask another about them."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen
from attrs.validators import ge

from vlmkit import Ask, Capability, Round, Solving, Strategy, Task
from vlmkit.errors import SpecError

if TYPE_CHECKING:
    from vlmkit_shortlist.retriever import Retriever


def _with_place(_: object, __: object, template: str) -> None:
    if "{}" not in template:
        raise SpecError(f"shortlist: template {template!r} has no place for the name", hint="write {} there")


@frozen(slots=False)
class Shortlist:
    """Keeps the k labels that a two-tower model finds most like the images; the inner strategy chooses among them.

    The retrieval is no query: a backend answers with one model, and this is another one. To the strategy it is a pure
    function from images and labels to an order of labels, as the similarity file of ``dci`` is from names to numbers,
    so that solving is still decided by task and answers alone. The model loads at the first task that needs it. Words
    are embedded once a label, images once a task; neither is in the usage.

    The inner strategy gets the labels nearest first. A task of at most k labels goes to it as it is, and so does a free
    question.

    Args:
        inner: Who chooses.
        clip: Directory or hub id of a CLIP or SigLIP model.
        k: Labels that are kept.
        template: What names are read in, ``{}`` for the name.

    Raises:
        SpecError: The template has no place for the name.

    Source: arXiv 2403.13805 (retrieving, then ranking with a vision-language model); the template is that of CLIP,
    arXiv 2103.00020.
    """

    inner: Strategy
    clip: Path
    k: int = field(default=20, validator=ge(1))
    template: str = field(default="a photo of a {}.", validator=_with_place)

    @property
    def requires(self) -> frozenset[Capability]:
        """What the inner strategy requires."""
        return self.inner.requires

    def solve(self, task: Task) -> Solving:
        """Solve one task.

        Raises:
            ModelError: The two-tower model cannot be loaded.
        """
        if isinstance(task, Ask) or len(task.labels) <= self.k:
            return (yield from self.inner.solve(task))
        kept = self._retriever.nearest(task.images, task.labels.names, self.k)
        prediction = yield from self.inner.solve(task.over(map(task.labels.label, kept)))
        if not prediction.trace:
            return prediction
        return evolve(prediction, trace=(Round(len(task.labels), 0, kept), *prediction.trace))

    @cached_property
    def _retriever(self) -> Retriever:
        # Only now: it imports torch.
        from vlmkit.local.embedder import Embedder
        from vlmkit_shortlist.retriever import Retriever

        return Retriever(Embedder.load(self.clip), self.template)
