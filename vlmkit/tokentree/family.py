"""What a model family must provide, and nothing else: everything shared lives in the other modules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from attrs import field, frozen

from vlmkit.tokentree.layout import Layout, Sight
from vlmkit.types import Image
from vlmkit.types.tuples import as_tuple


@frozen(eq=False)
class Picture:
    """One image as the family's processor prepares it.

    Args:
        digest: Identifies what is encoded: the image's digest, and how it is prepared where there is a choice.
        tokens: Number of visual tokens that it takes in the language model.
        inputs: Processor outputs, on the CPU.
        state_bytes: Most bytes of visual states that a trunk keeps of it for cross-attention; 0 in most families.
    """

    digest: str
    tokens: int
    inputs: Mapping[str, torch.Tensor]
    state_bytes: int = 0


@frozen(eq=False)
class Features:
    """One image after the vision tower and projector.

    Args:
        embeds: Visual tokens, [tokens, hidden].
        deep: Features added inside the first language-model layers, each [tokens, hidden]; empty in most families.
        states: What cross-attention makes keys and values of, in pieces that can be seen apart, each [states, hidden];
            empty in most families.
    """

    embeds: torch.Tensor
    deep: tuple[torch.Tensor, ...] = field(default=(), converter=as_tuple)
    states: tuple[torch.Tensor, ...] = field(default=(), converter=as_tuple)

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return sum(tensor.nbytes for tensor in (self.embeds, *self.deep, *self.states))


class Family(Protocol):
    """A loaded model of one family. Its text attention must be ``ATTENTION`` and pass ``layout`` through."""

    @property
    def device(self) -> torch.device:
        """Where the model runs."""
        ...

    @property
    def image_token(self) -> int:
        """Id of the placeholder token that visual tokens replace."""
        ...

    @property
    def vocabulary(self) -> int:
        """How many logits a position has."""
        ...

    @property
    def kv_bytes(self) -> int:
        """Bytes that the keys and values of one token take, all layers together."""
        ...

    def chat(self, text: str, images: int) -> str:
        """Return the whole prompt up to the answer: chat template, one placeholder for each image, the words."""
        ...

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return token ids, nothing added, one placeholder id for each image."""
        ...

    def detokenize(self, ids: Sequence[int]) -> str:
        """Return the text of token ids, special tokens removed."""
        ...

    @property
    def end_tokens(self) -> tuple[int, ...]:
        """Ids that end the model's turn, the usual one first."""
        ...

    @property
    def images_see_ahead(self) -> bool:
        """Whether the tokens of one image see each other in both directions."""
        ...

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image, which is the only one of its prompt or has others beside it; called from many threads.

        The inputs hold ``pixel_values``, what the vision tower reads.
        """
        ...

    def expand(self, ids: Sequence[int], pictures: Sequence[Picture]) -> list[int]:
        """Return token ids in which every placeholder has become all the tokens of its picture."""
        ...

    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower and projector over pictures whose pixels differ in their first dimension alone."""
        ...

    @property
    def vision_tower(self) -> torch.nn.Module:
        """What ``encode`` calls before the projector; its output has a ``last_hidden_state``."""
        ...

    @property
    def layers(self) -> Sequence[torch.nn.Module]:
        """The layers of the language model."""
        ...

    def stages(
        self, states: torch.Tensor, pictures: Sequence[Picture], features: Sequence[Features]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what left the vision tower and what left the projector for each picture, both [tokens, hidden].

        Args:
            states: The vision tower's last hidden states, all pictures in one tensor.
            pictures: What was encoded.
            features: What ``encode`` made of it.
        """
        ...

    def positions(self, ids: Sequence[int], pictures: Sequence[Picture]) -> torch.Tensor:
        """Return the positions of a sequence with expanded placeholders, int64 [A, len(ids)]."""
        ...

    def sights(self, ids: Sequence[int], features: Sequence[Features]) -> Sequence[Sight]:
        """Return what every token of such a sequence sees by cross-attention; empty where there is none."""
        ...

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Run the language model on packed tokens.

        Args:
            ids: int64 [T].
            positions: int64 [A, T].
            features: In the order of their placeholders in ``ids``.
            layout: Who attends to whom.

        Returns:
            Hidden states after the last norm, [T, hidden]; those that ``layout`` does not read mean nothing.
        """
        ...

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token logits, [n, V], of hidden states [n, hidden]."""
        ...

    def log_probs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token log-probabilities over the whole vocabulary, float32 [n, V], of hidden states."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """What a manifest says of the loaded model."""
        ...
