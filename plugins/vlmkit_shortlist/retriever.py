"""Labels by their likeness to images, with a two-tower model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from attrs import define, field
from numpy.typing import NDArray

from vlmkit.local.embedder import Embedder
from vlmkit.types import Image


@define(eq=False)
class Retriever:
    """Ranks labels by the cosine of their words and the images; every label's words are embedded once.

    Args:
        embedder: The model.
        template: What names are read in, ``{}`` for the name.
    """

    embedder: Embedder
    template: str
    _words: dict[str, NDArray[np.float32]] = field(factory=dict, init=False, repr=False)
    _stacked: tuple[tuple[str, ...], NDArray[np.float32]] | None = field(default=None, init=False, repr=False)

    def nearest(self, images: Sequence[Image], names: Sequence[str], k: int) -> list[str]:
        """Return the ``k`` names nearest to the images' mean, nearest first; the earlier one wins a tie."""
        likeness = self._embedded(names) @ self.embedder.images(images).mean(axis=0)
        return [names[place] for place in np.argsort(-likeness, kind="stable")[:k]]

    def _embedded(self, names: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings of names, float32 [n, d]; the names of the task before cost nothing."""
        names = tuple(names)
        if self._stacked is not None and self._stacked[0] == names:
            return self._stacked[1]
        if new := [name for name in names if name not in self._words]:
            found = self.embedder.texts([self.template.replace("{}", name) for name in new])
            self._words |= zip(new, found, strict=True)
        self._stacked = names, np.stack([self._words[name] for name in names])
        return self._stacked[1]
