"""Which image every token belongs to, and the mask between images on a plain model of transformers, as for training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import torch
from attrs import define, field

from vlmkit.errors import ModelError
from vlmkit.types import Mask

TEXT = -1
"""Stands for the image of a token that belongs to none."""

IMAGE_OF = "image_of"
"""Name of the model's argument that says which image every token belongs to, int64 [B, T]."""


def image_of(ids: Sequence[int], image_token: int, counts: Sequence[int]) -> list[int]:
    """Return the index of the image that each token belongs to, ``TEXT`` for text.

    An image reaches from its first visual token to its last: what separates its tiles belongs to it.

    Args:
        ids: Token ids, placeholders expanded.
        image_token: Id of the placeholder of a visual token.
        counts: Visual tokens of each image, in order.
    """
    images = [TEXT] * len(ids)
    visual = [index for index, token in enumerate(ids) if token == image_token]
    done = 0
    for image, count in enumerate(counts):
        if count:
            first, last = visual[done], visual[done + count - 1]
            images[first : last + 1] = [image] * (last + 1 - first)
        done += count
    return images


def visual_counts(ids: Sequence[int], image_token: int, images: int) -> list[int]:
    """Find out how many visual tokens each image has, from the tokens of a prompt alone.

    That is certain where something stands between any two images and nothing within one, and where all images have
    the same size and touch.

    Args:
        ids: Token ids, placeholders expanded.
        image_token: Id of the placeholder of a visual token.
        images: Number of images.

    Raises:
        ModelError: It cannot be told.
    """
    runs = [len(list(run)) for visual, run in groupby(ids, lambda token: token == image_token) if visual]
    if len(runs) == images:
        return runs
    if images == 1:
        return [sum(runs)]
    each, rest = divmod(sum(runs), max(1, images))
    if images and not rest and all(run % each == 0 for run in runs):
        return [each] * images
    raise ModelError(
        f"{sum(runs)} visual tokens in {len(runs)} pieces do not tell where one of {images} images ends",
        hint="leave the mask out, or use a model that writes something between images",
    )


@contextmanager
def masked(model: Any, mask: Mask) -> Iterator[None]:
    """Let images see each other in the chosen layers no more, while this lasts.

    The model then takes one more argument, ``IMAGE_OF``; a forward without it, as one of a single generated token, is
    as ever. It must attend by ``sdpa`` or ``eager``, which take any mask.

    Args:
        model: A vision-language model of transformers, or one of peft around it.
        mask: Which layers, and whether images see the text before them.

    Raises:
        ModelError: It has no layers of self-attention that are known, or no images among its tokens.
        SpecError: A chosen layer is not there.
    """
    layers = decoder_layers(model)
    chosen = sorted(mask.chosen(len(layers)))
    hidden = _Hidden(mask.text)
    hooks = [model.register_forward_pre_hook(hidden.take, with_kwargs=True)]
    try:
        for layer in chosen:
            attention: Any = layers[layer].self_attn
            hooks.append(attention.register_forward_pre_hook(hidden.apply, with_kwargs=True))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def decoder_layers(model: Any) -> torch.nn.ModuleList:
    """Return the layers of a model's language part.

    Raises:
        ModelError: It has none of self-attention alone.
    """
    decoder = model.get_decoder()
    layers = getattr(getattr(decoder, "model", decoder), "layers", None)
    if not isinstance(layers, torch.nn.ModuleList):
        raise ModelError(f"{type(model).__name__} has no decoder layers that are known", hint="leave the mask out")
    if not all(hasattr(layer, "self_attn") for layer in layers):
        raise ModelError(
            f"in {type(model).__name__} not every layer is one of self-attention: there is nothing to mask",
            hint="leave the mask out",
        )
    return layers


@define
class _Hidden:
    """Which keys are hidden from which queries in the forward that runs.

    Args:
        text: Whether images see the text before them.
    """

    text: bool
    _pairs: torch.Tensor | None = field(default=None, init=False)

    def take(self, _: torch.nn.Module, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """Begin a forward: work out what is hidden, bool [B, 1, T, T]."""
        left = dict(kwargs)
        images = left.pop(IMAGE_OF, None)
        self._pairs = None
        if images is not None:
            query, key = images[:, None, :, None], images[:, None, None, :]
            self._pairs = (query != TEXT) & (query != key)
            if self.text:
                self._pairs &= key != TEXT
        return args, left

    def apply(self, _: torch.nn.Module, args: Any, kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        """Begin an attention: hide that, besides what its own mask hides."""
        if self._pairs is None:
            return None
        mask, pairs = kwargs.get("attention_mask"), self._pairs
        if mask is None:  # transformers leaves out a mask that is causal and nothing else
            mask = torch.ones(pairs.shape[-2:], dtype=torch.bool, device=pairs.device).tril()
        elif not isinstance(mask, torch.Tensor) or mask.dim() != 4:
            raise ModelError("this attention takes no mask of its own", hint='load with attn_implementation="sdpa"')
        # Some models compute the last tokens alone in layers whose keys are those of others.
        pairs = pairs[:, :, -mask.shape[-2] :]
        hidden = mask & ~pairs if mask.dtype == torch.bool else mask.masked_fill(pairs, torch.finfo(mask.dtype).min)
        return args, {**kwargs, "attention_mask": hidden}
