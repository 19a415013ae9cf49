"""What is SmolVLM's own: an image is a text of tiles, each behind a token that names its row and column."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vlmkit import Image
from vlmkit.tokentree import Features, HuggingFaceFamily, Layout, Picture, open_family


class SmolFamily(HuggingFaceFamily):
    """A loaded SmolVLM or Idefics3 model."""

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image: ``pixel_values`` [1, tiles, channels, height, width], ``input_ids`` [1, tokens]."""
        prepared = self.processor(
            images=[[image.pixels]], text=[self.processor.image_token], add_special_tokens=False, return_tensors="pt"
        )
        inputs = {key: prepared[key] for key in ("pixel_values", "input_ids")}
        return Picture(image.digest, inputs["input_ids"].shape[1], inputs)

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Embed the whole text of each image, visual tokens in their places."""
        encoded = []
        for picture in pictures:
            inputs = {key: tensor.to(self.device) for key, tensor in picture.inputs.items()}
            visual = self.model.model.get_image_features(inputs["pixel_values"]).pooler_output[0]
            encoded.append(Features(self.embed(inputs["input_ids"][0], [Features(visual)])[0]))
        return encoded

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Return hidden states, [T, hidden]; the language model is called ``text_model`` here."""
        out = self.model.model.text_model(
            inputs_embeds=self.embed(ids, features), position_ids=positions, use_cache=False, layout=layout
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden


smolvlm = open_family(SmolFamily)
"""Opens a SmolVLM or Idefics3 checkpoint."""
