"""One question to a model."""

from __future__ import annotations

import re
from typing import ClassVar, Literal

from attrs import field, frozen
from attrs.validators import ge, in_, min_len

from vlmkit.errors import SpecError
from vlmkit.prompts import Prompt, default_prompt
from vlmkit.types.capability import Capability
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
        temperature: What the logits are divided by before each token is drawn; at 0 the likeliest token is taken.
        seed: Fixes what is drawn: another seed is another reply, whatever else is asked at the same time.
        interventions: What is changed inside the model, in this order.
    """

    images: tuple[Image, ...] = field(converter=as_tuple)
    text: str
    max_tokens: int = field(default=256, validator=ge(1))
    temperature: float = field(default=0.0, validator=ge(0.0))
    seed: int = 0
    interventions: tuple[Intervention, ...] = field(default=(), converter=as_tuple)


Pool = Literal["mean", "last"]
Over = Literal["image", "text"]

ENCODER, PROJECTOR = "encoder", "projector"
"""Sites before the language model."""

_LAYER = re.compile(r"layer:(-?\d+)")


def layer_of(site: str) -> int | None:
    """Return the number of a language-model site, which may count from the end; None for ``encoder`` and ``projector``.

    Raises:
        SpecError: It is no site.
    """
    if site in (ENCODER, PROJECTOR):
        return None
    match = _LAYER.fullmatch(site)
    if match is None:
        raise SpecError(f"unknown site {site!r}", hint="give encoder, projector, or a layer such as layer:-1")
    return int(match[1])


def _checked_sites(_: object, __: object, sites: tuple[str, ...]) -> None:
    for place, site in enumerate(sites):
        layer_of(site)
        if site in sites[:place]:
            raise SpecError(f"site {site!r} stands twice", hint="name it once")


@frozen
class Encode:
    """What does the model make of these images, or of these words? Answered by an ``Encoding``.

    A site is a place in the model. ``encoder`` is the vision encoder's last hidden states; ``projector`` is what the
    projector makes of them, the visual tokens that enter the language model. ``layer:N`` is the language model's hidden
    states after N layers, as ``hidden_states[N]`` of transformers: ``layer:0`` is what enters the first layer,
    ``layer:-1`` what leaves the last one, normed.

    Args:
        images: The pictures, in the order shown.
        text: The user's words, without images and chat template.
        at: The sites, each once.
        pool: How the tokens become one vector: their mean, or the last of them.
        over: Which tokens: those of all images, or all others of the prompt, which the language model alone knows.
    """

    requires: ClassVar[Capability] = Capability.FEATURES
    interventions: ClassVar[tuple[Intervention, ...]] = ()
    images: tuple[Image, ...] = field(converter=as_tuple)
    text: str = ""
    at: tuple[str, ...] = field(
        default=(ENCODER, PROJECTOR, "layer:-1"),
        converter=as_tuple,
        validator=[min_len(1), _checked_sites],
    )
    pool: Pool = field(default="mean", validator=in_(("mean", "last")))
    over: Over = field(default="image", validator=in_(("image", "text")))

    def __attrs_post_init__(self) -> None:
        if self.over == "image" and not self.images:
            raise SpecError("a query without images has no visual tokens", hint="pool over the text")
        before = [site for site in self.at if layer_of(site) is None]
        if self.over == "text" and before:
            raise SpecError(f"text does not pass the {before[0]}", hint="give sites such as layer:0 or layer:-1")


Query = Choose | Generate | Encode
"""One question to a model."""
