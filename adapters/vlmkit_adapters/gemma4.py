"""Gemma 4.

What is theirs: most layers see no further back than a window, and in some sizes the tokens of one image see each other
in both directions in these; every layer has embeddings of every token, late layers use the keys and values of earlier
ones, and heads have unlike sizes.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from attrs import evolve

from vlmkit import Image
from vlmkit.tokentree import Features, HuggingFaceFamily, Layout, Picture


class Gemma4Family(HuggingFaceFamily):
    """A loaded Gemma 4 model."""

    @property
    def images_see_ahead(self) -> bool:  # type: ignore[override]
        """Whether the tokens of one image see each other in both directions."""
        return bool(self._text.use_bidirectional_attention == "vision")

    @cached_property
    def kv_bytes(self) -> int:
        """Bytes that the keys and values of one token take, all layers together."""
        sizes = [layer.num_key_value_heads * layer.head_dim for layer in self._text.per_layer_config]
        return int(2 * sum(sizes) * self.checkpoint.torch_dtype.itemsize)

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return token ids, nothing added; the frame of an image is not in the template."""
        image = self.processor.image_token
        framed = f"{self.processor.boi_token}{image}{self.processor.eoi_token}"
        return super().tokenize([text.replace(image, framed) for text in texts])

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image: ``pixel_values`` [1, patches, values], ``image_position_ids`` [1, patches, 2]."""
        prepared = self.processor.image_processor(images=[image.pixels], return_tensors="pt")
        inputs = {key: prepared[key] for key in ("pixel_values", "image_position_ids")}
        return Picture(image.digest, int(prepared["num_soft_tokens_per_image"][0]), inputs)

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower over all pictures at once, each padded to the same number of patches."""
        pixels = torch.cat([picture.inputs["pixel_values"] for picture in pictures]).to(self.device)
        places = torch.cat([picture.inputs["image_position_ids"] for picture in pictures]).to(self.device)
        found = torch.cat(list(self.model.model.get_image_features(pixels, places).pooler_output))
        return [Features(embeds) for embeds in torch.split(found, [picture.tokens for picture in pictures])]

    def stages(
        self, states: torch.Tensor, pictures: Sequence[Picture], features: Sequence[Features]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what left the vision tower and what left the projector for each picture; both are without padding."""
        encoded = torch.split(states, [picture.tokens for picture in pictures])
        return [(one, own.embeds) for one, own in zip(encoded, features, strict=True)]

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Return hidden states, [T, hidden]."""
        language = self.model.model.language_model
        per_layer = None
        if self._text.hidden_size_per_layer_input:
            per_layer = language.get_per_layer_inputs(self._without_placeholders(ids)[None], None)
        out = language(
            inputs_embeds=self.embed(ids, features),
            per_layer_inputs=per_layer,
            position_ids=positions,
            use_cache=False,
            layout=evolve(layout, ahead_everywhere=False),
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden

    def embed(self, ids: torch.Tensor, features: Sequence[Features]) -> torch.Tensor:
        """Return what enters the language model, [1, T, hidden]; placeholders without an image are padding."""
        return super().embed(ids if features else self._without_placeholders(ids), features)

    def _without_placeholders(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.where(ids == self.image_token, self._text.pad_token_id, ids)

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token logits, [n, V], softly capped."""
        logits, cap = super().logits(hidden), self._text.final_logit_softcapping
        return logits if cap is None else (logits / cap).tanh() * cap

    @cached_property
    def _text(self) -> Any:
        return self.model.config.get_text_config()
