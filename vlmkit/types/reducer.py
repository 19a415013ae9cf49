"""Interventions that leave a model fewer visual tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from attrs import field, frozen
from attrs.validators import in_

from vlmkit.types.capability import Capability
from vlmkit.types.intervention import Intervention

if TYPE_CHECKING:
    import torch

    from vlmkit.tokentree import Visual

Positions = Literal["keep", "repack"]


@frozen
class Reducer(Intervention, ABC):
    """Base of reducers: each says which visual tokens of an image become one, and which go.

    It sees one image at a time, so that no image changes what is left of another. Features of several levels, such as
    DeepStack's, and states for cross-attention are reduced alike.

    Args:
        positions: ``keep`` leaves every token its position, a group that of its first token; ``repack`` lets the
            tokens from the first image on count on like text. What loses nothing is not moved.
    """

    requires: ClassVar[Capability] = Capability.REDUCE
    positions: Positions = field(default="keep", kw_only=True, validator=in_(("keep", "repack")))

    @property
    def watches(self) -> int:
        """Number of the language-model layer whose attention it reads, from 1 on; 0 for none."""
        return 0

    @abstractmethod
    def kept(self, tokens: int) -> int:
        """Return how many of so many visual tokens are left, at least one."""

    @abstractmethod
    def groups(self, visual: Visual) -> torch.Tensor:
        """Return the group that each visual token goes into, int64 [tokens]; -1 for one that is dropped.

        A group becomes the mean of its tokens and stands where the first of them stood.
        """
