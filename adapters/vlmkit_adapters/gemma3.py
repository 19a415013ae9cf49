"""Gemma 3.

What is theirs: the tokens of one image see each other in both directions, and most layers see no further back than a
window; the template holds one token for an image where the model reads a frame of several.
"""

from __future__ import annotations

from collections.abc import Sequence

from vlmkit.tokentree import HuggingFaceFamily


class Gemma3Family(HuggingFaceFamily):
    """A loaded Gemma 3 model."""

    images_see_ahead = True

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return token ids, nothing added; line breaks of an image's frame may merge with those around it."""
        begin, soft = self.processor.boi_token, self.processor.tokenizer.image_token
        frame = self.processor.full_image_sequence.replace(soft * self.processor.image_seq_length, soft)
        return super().tokenize([text.replace(begin, frame) for text in texts])
