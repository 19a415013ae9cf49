"""What a strategy is asked to solve for one example."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable

from attrs import evolve, field, frozen

from vlmkit.prompts import Prompt, default_prompt
from vlmkit.types.image import Image
from vlmkit.types.labels import Label, LabelSpace
from vlmkit.types.query import Choose, Generate
from vlmkit.types.readout import Likelihood, Readout
from vlmkit.types.taxonomy import Taxonomy
from vlmkit.types.tuples import as_tuple


def _as_space(labels: LabelSpace | Iterable[Label | str]) -> LabelSpace:
    return labels if isinstance(labels, LabelSpace) else LabelSpace(labels)


@frozen
class Classify:
    """Which label do these images show?

    Args:
        images: The pictures.
        labels: What may be answered.
        id: The example's id; with ``seed`` it fixes every random choice.
        seed: The run's seed.
        prompt: The words of the questions.
        taxonomy: The tree that the labels are leaves of, or None; it may have leaves that are not asked for.
    """

    images: tuple[Image, ...] = field(converter=as_tuple)
    labels: LabelSpace = field(converter=_as_space)
    id: str = ""
    seed: int = 0
    prompt: Prompt = field(factory=default_prompt)
    taxonomy: Taxonomy | None = field(default=None, repr=False)

    def rng(self) -> random.Random:
        """Return a fresh generator that depends on the run's seed and the example's id alone.

        Source: arXiv 2605.24799, release 0.4.0: the first 8 bytes, big-endian, of SHA-256 over seed, NUL and id.
        """
        digest = hashlib.sha256(f"{self.seed}\0{self.id}".encode()).digest()
        return random.Random(int.from_bytes(digest[:8], "big"))

    def choose(self, options: Iterable[Label], *, readout: Readout | None = None, allow_none: bool = False) -> Choose:
        """Return the query that asks which of ``options`` the task's images show."""
        return Choose(
            images=self.images,
            options=tuple(options),
            prompt=self.prompt,
            readout=readout or Likelihood(),
            allow_none=allow_none,
        )

    def over(self, labels: Iterable[Label | str], *, seed: int | None = None) -> Classify:
        """Return this task over other labels, and with another seed if one is given."""
        return evolve(self, labels=_as_space(labels), seed=self.seed if seed is None else seed)


@frozen
class Ask:
    """A free question about images.

    Args:
        images: The pictures.
        question: The question.
        id: The example's id.
        seed: The run's seed.
        max_tokens: Longest reply, in tokens.
    """

    images: tuple[Image, ...] = field(converter=as_tuple)
    question: str
    id: str = ""
    seed: int = 0
    max_tokens: int = 256

    def generate(self) -> Generate:
        """Return the query that puts the question."""
        return Generate(images=self.images, text=self.question, max_tokens=self.max_tokens)


Task = Classify | Ask
"""What a strategy is asked to solve for one example."""
