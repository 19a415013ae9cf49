"""The yardstick: a vision pass, and a token in a dense forward of the language model, where nothing is clever."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from attrs import field, frozen

from vlmkit.bench.figures import Dense
from vlmkit.bench.machine import Machine
from vlmkit.testing.plain import Plain
from vlmkit.tokentree.family import Family
from vlmkit.types import Image

_TOKENS = 1024
"""Tokens of the forward: enough to keep the hardware busy."""

_REPEATS = 3
"""Forwards at a time."""


@frozen
class Yardstick:
    """Times dense passes.

    The forward is causal, without a cache and without the output layer, with the attention that transformers takes by
    default.

    Args:
        family: Prepares and encodes images.
        plain: The model as transformers loads it.
        machine: Runs both.
    """

    family: Family
    plain: Plain
    machine: Machine
    _ids: torch.Tensor = field(init=False)

    @_ids.default
    def _random_text(self) -> torch.Tensor:
        words = self.plain.model.config.get_text_config().vocab_size
        ids = torch.randint(words, (1, _TOKENS), generator=torch.Generator().manual_seed(0))
        return ids.to(self.machine.device)

    @torch.inference_mode()
    def measure(self, examples: Sequence[Sequence[Image]], dense: Dense) -> None:
        """Time one vision pass for each example's images, and some forwards; add them to what is known."""
        for images in examples:
            pictures = [self.family.picture(image, len(images) == 1) for image in images]
            dense.vision.append(self.machine.seconds(partial(self.family.encode, pictures)))
        for _ in range(_REPEATS):
            seconds = self.machine.seconds(lambda: self._decoder(input_ids=self._ids, use_cache=False))
            dense.token.append(seconds / _TOKENS)

    @property
    def _decoder(self) -> Any:
        decoder = self.plain.model.get_decoder()
        # That of Llama 4 still has an output layer.
        return decoder.model if decoder.get_output_embeddings() is not None else decoder
