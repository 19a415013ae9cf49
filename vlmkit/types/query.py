"""One question to a model."""

from __future__ import annotations

from attrs import field, frozen
from attrs.validators import ge, min_len

from vlmkit.errors import SpecError
from vlmkit.prompts import Prompt, default_prompt
from vlmkit.types.image import Image
from vlmkit.types.intervention import Intervention
from vlmkit.types.labels import Label
from vlmkit.types.readout import Letter, Likelihood, Readout
from vlmkit.types.tuples import as_tuple


@frozen
class Choose:
    """Which of these options do the images show? Answered by a ``Ballot``.

    Args:
        images: The pictures, in the order shown.
        options: The labels offered, in the order shown.
        prompt: The words of the question.
        readout: How the choice is read off the model.
        allow_none: Whether the prompt offers, and the readout accepts, the answer ``None``.
        interventions: What is changed inside the model, in this order.
    """

    images: tuple[Image, ...] = field(converter=as_tuple)
    options: tuple[Label, ...] = field(converter=as_tuple, validator=min_len(1))
    prompt: Prompt = field(factory=default_prompt)
    readout: Readout = field(factory=Likelihood)
    allow_none: bool = False
    interventions: tuple[Intervention, ...] = field(default=(), converter=as_tuple)

    def __attrs_post_init__(self) -> None:
        if isinstance(self.readout, Letter) and len(self.options) > Letter.limit:
            raise SpecError(
                f"the letter readout has {Letter.limit} letters for {len(self.options)} options",
                hint=f"use another readout, or dci with group_size of at most {Letter.limit}",
            )

    @property
    def text(self) -> str:
        """The user's words, without images and chat template."""
        return self.prompt.render(self.options, allow_none=self.allow_none, letters=isinstance(self.readout, Letter))


@frozen
class Generate:
    """A free question about the images. Answered by a ``Text``.

    Args:
        images: The pictures, in the order shown.
        text: The user's words, without images and chat template.
        max_tokens: Longest reply, in tokens.
        interventions: What is changed inside the model, in this order.
    """

    images: tuple[Image, ...] = field(converter=as_tuple)
    text: str
    max_tokens: int = field(default=256, validator=ge(1))
    interventions: tuple[Intervention, ...] = field(default=(), converter=as_tuple)


Query = Choose | Generate
