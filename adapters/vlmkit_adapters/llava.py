"""LLaVA-OneVision.

What is theirs: an image that is alone in its prompt is cut into tiles by the best of many resolutions, and its visual
tokens lose the padding and gain a newline after every row; images beside others stay whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vlmkit import Image
from vlmkit.tokentree import Features, HuggingFaceFamily, Picture, open_family


class LlavaFamily(HuggingFaceFamily):
    """A loaded LLaVA-OneVision model."""

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image.

        ``pixel_values`` [1, tiles, channels, height, width], ``image_sizes`` [1, 2], ``batch_num_images`` [1]: how many
        images the prompt has, of which processor and model tell only 1 from more.
        """
        count = 1 if alone else 2
        prepared = self.processor(
            images=[[image.pixels] * count], text=[self.processor.image_token * count], return_tensors="pt"
        )
        tokens = int((prepared["input_ids"] == self.image_token).sum()) // count
        inputs = {key: prepared[key][:1] for key in ("pixel_values", "image_sizes", "batch_num_images")}
        return Picture(image.digest if alone else f"{image.digest} whole", tokens, inputs)

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower and projector over all tiles of all pictures at once."""
        inputs = {
            key: torch.cat([picture.inputs[key] for picture in pictures]).to(self.device) for key in pictures[0].inputs
        }
        return [Features(embeds) for embeds in self.model.model.get_image_features(**inputs).pooler_output]


llava = open_family(LlavaFamily)
"""Opens a LLaVA-OneVision checkpoint."""
