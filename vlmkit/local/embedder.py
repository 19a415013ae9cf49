"""Pictures and texts in one space: a SigLIP or CLIP checkpoint, loaded by transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray

from vlmkit.errors import ModelError, first_line
from vlmkit.local.checkpoint import quiet
from vlmkit.local.digests import beside_weights, weights_digest
from vlmkit.types import Image

Vectors = NDArray[np.float32]
"""Embeddings of length 1, [n, d]: their inner products are cosine similarities."""


@frozen(eq=False)
class Embedder:
    """A loaded two-tower model.

    Args:
        directory: Where it lies, or its hub id.
        processor: Its tokenizer and image processor.
        model: Its weights.
        batch: Texts, or pictures, in one forward.
    """

    directory: Path
    processor: Any
    model: Any
    batch: int = 64

    @classmethod
    def load(cls, directory: Path, device: str | None = None) -> Self:
        """Load a checkpoint, from safetensors only.

        Args:
            directory: A directory that ``save_pretrained()`` wrote, or a hub id.
            device: ``cuda``, ``cuda:1``, ``cpu``; by default CUDA where there is one.

        Raises:
            ModelError: It cannot be loaded, or embeds no pictures and texts.
        """
        from transformers import AutoModel, AutoProcessor

        if not directory.is_dir():
            beside_weights(str(directory))  # out of reach, it is to be said once, not for each file
        try:
            with quiet():
                processor = AutoProcessor.from_pretrained(directory, trust_remote_code=False)
                model = AutoModel.from_pretrained(directory, use_safetensors=True, trust_remote_code=False)
                model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
        except Exception as error:  # on damaged files the loaders raise nearly anything
            raise ModelError(
                f"embedder {directory} cannot be loaded: {first_line(error)}", hint="give a SigLIP or CLIP model"
            ) from error
        if not (hasattr(model, "get_text_features") and hasattr(model, "get_image_features")):
            raise ModelError(
                f"embedder {directory} is {model.config.model_type}, which does not embed pictures and texts alike",
                hint="give a SigLIP or CLIP model",
            )
        return cls(directory, processor, model)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the header of a question bank says of it: a digest of its weights, or its commit on the hub."""
        model = self.directory
        if not model.is_dir():
            return {"model": str(model), "weights": beside_weights(str(model))}
        return {"model": model.name, "weights": weights_digest(model)}

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Embed texts; longer ones are cut at the model's length."""
        length = self.model.config.text_config.max_position_embeddings
        # Padded to the full length, as SigLIP was trained.
        return self._batched(
            texts,
            lambda batch: self.model.get_text_features(
                **self.processor.tokenizer(
                    batch, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
                ).to(self.model.device)
            ),
        )

    def images(self, images: Sequence[Image]) -> Vectors:
        """Embed pictures."""
        return self._batched(
            [image.pixels for image in images],
            lambda batch: self.model.get_image_features(
                **self.processor.image_processor(batch, return_tensors="pt").to(self.model.device)
            ),
        )

    @torch.inference_mode()
    def _batched(self, things: Sequence[Any], embed: Callable[[list[Any]], Any]) -> Vectors:
        vectors = [
            torch.nn.functional.normalize(embed(list(things[start : start + self.batch])).pooler_output.float(), dim=-1)
            for start in range(0, len(things), self.batch)
        ]
        embedded: Vectors = torch.cat(vectors).cpu().numpy()
        return embedded
