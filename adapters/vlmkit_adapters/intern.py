"""InternVL in the form that transformers loads without foreign code (``-hf``), InternVL3 and later.

What is theirs: an image is cut into tiles, with a thumbnail last, and stands between two tokens of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from vlmkit.tokentree import HuggingFaceFamily, open_family


class InternFamily(HuggingFaceFamily):
    """A loaded InternVL model."""

    def tokenize(self, texts: Sequence[str]) -> Sequence[Sequence[int]]:
        """Return token ids, nothing added; the frame of an image is not in the template."""
        image = self.processor.image_token
        framed = f"{self.processor.start_image_token}{image}{self.processor.end_image_token}"
        return super().tokenize([text.replace(image, framed) for text in texts])


intern = open_family(InternFamily)
"""Opens an InternVL checkpoint."""
