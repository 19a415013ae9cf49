"""What families of Hugging Face checkpoints share, and what most of them do alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from math import prod

import torch

from vlmkit.errors import ModelError
from vlmkit.local.chat import ChatModel
from vlmkit.local.checkpoint import Checkpoint, opener
from vlmkit.tokentree.attention import ATTENTION, register_attention
from vlmkit.tokentree.backend import TokenTreeBackend
from vlmkit.tokentree.family import Features, Picture
from vlmkit.tokentree.last_layer import LastLayer
from vlmkit.tokentree.layout import Layout, Sight
from vlmkit.tokentree.pieces import norm_in_pieces
from vlmkit.tokentree.work import patches
from vlmkit.types import Image


class HuggingFaceFamily(ChatModel):
    """A ``Family`` of the plainest kind: images cut into tiles of one size, one position axis, causal attention.

    A subclass replaces what its family does otherwise.

    Args:
        checkpoint: What to load.
    """

    images_see_ahead = False
    """Whether the tokens of one image see each other in both directions."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        register_attention()
        super().__init__(checkpoint, checkpoint.load_processor(), checkpoint.load_model(ATTENTION))
        LastLayer().watch(self.layers[-1])
        if self.device.type == "cpu":
            for layer in self.layers:
                norm_in_pieces(layer)
        # Its first call drops the padding that a tokenizer may come with; no other thread may be in it then.
        self.processor.tokenizer("first")

    @cached_property
    def image_token(self) -> int:
        """Id of the placeholder token that visual tokens replace."""
        return int(self.model.config.image_token_id)

    @cached_property
    def vocabulary(self) -> int:
        """How many logits a position has."""
        return int(self.model.config.get_text_config().vocab_size)

    @cached_property
    def kv_bytes(self) -> int:
        """Bytes that the keys and values of one token take, all layers together."""
        config = self.model.config.get_text_config()
        heads = config.num_key_value_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        return int(2 * config.num_hidden_layers * heads * size * self.checkpoint.torch_dtype.itemsize)

    def picture(self, image: Image, alone: bool) -> Picture:
        """Prepare one image as the processor does; ``pixel_values`` [tiles, channels, height, width]."""
        prepared = self.processor(images=[[image.pixels]], text=[self.processor.image_token], return_tensors="pt")
        tokens = int((prepared["input_ids"] == self.image_token).sum())
        return Picture(image.digest, tokens, {"pixel_values": prepared["pixel_values"]})

    def expand(self, ids: Sequence[int], pictures: Sequence[Picture]) -> list[int]:
        """Repeat every placeholder for each visual token of its picture."""
        counts = iter([picture.tokens for picture in pictures])
        return [each for token in ids for each in [token] * (next(counts) if token == self.image_token else 1)]

    @torch.inference_mode()
    def encode(self, pictures: Sequence[Picture]) -> Sequence[Features]:
        """Run the vision tower and projector over all tiles of all pictures at once."""
        pixels = [picture.inputs["pixel_values"] for picture in pictures]
        out = self.model.model.get_image_features(torch.cat(pixels).to(self.device))
        tiles = torch.split(out.pooler_output, [len(one) for one in pixels])
        return [Features(one.flatten(0, 1)) for one in tiles]

    @cached_property
    def vision_tower(self) -> torch.nn.Module:
        """What ``encode`` calls before the projector."""
        tower: torch.nn.Module = self.model.get_encoder(modality="image")
        return tower

    @cached_property
    def layers(self) -> Sequence[torch.nn.Module]:
        """The layers of the language model."""
        layers: Sequence[torch.nn.Module] = self.model.get_decoder().layers
        return layers

    def stages(
        self, states: torch.Tensor, pictures: Sequence[Picture], features: Sequence[Features]
    ) -> Sequence[tuple[torch.Tensor, torch.Tensor]]:
        """Return what left the vision tower and what left the projector for each picture, both [tokens, hidden].

        Every tile, or every patch where these lie flat, has the same number of states.
        """
        tokens = states.flatten(0, -2)
        sizes = [prod(patches(picture, self)) for picture in pictures]
        encoded = torch.split(tokens, [size * len(tokens) // sum(sizes) for size in sizes])
        return [(one, own.embeds) for one, own in zip(encoded, features, strict=True)]

    def positions(self, ids: Sequence[int], pictures: Sequence[Picture]) -> torch.Tensor:
        """Count from 0 on one axis; int64 [1, len(ids)]."""
        return torch.arange(len(ids))[None]

    def sights(self, ids: Sequence[int], features: Sequence[Features]) -> Sequence[Sight]:
        """Return nothing: there is no cross-attention."""
        return ()

    def forward(
        self, ids: torch.Tensor, positions: torch.Tensor, features: Sequence[Features], layout: Layout
    ) -> torch.Tensor:
        """Return hidden states, [T, hidden]."""
        out = self.model.model.language_model(
            inputs_embeds=self.embed(ids, features), position_ids=positions, use_cache=False, layout=layout
        )
        hidden: torch.Tensor = out.last_hidden_state[0]
        return hidden

    def embed(self, ids: torch.Tensor, features: Sequence[Features]) -> torch.Tensor:
        """Return what enters the language model, [1, T, hidden], visual tokens in place of their placeholders."""
        embeds: torch.Tensor = self.model.get_input_embeddings()(ids[None])
        if not features:
            return embeds
        visual = (ids == self.image_token)[None, :, None]
        return embeds.masked_scatter(visual, torch.cat([one.embeds for one in features]).to(embeds.dtype))

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token logits, [n, V]."""
        logits: torch.Tensor = self.model.lm_head(hidden)
        return logits

    def log_probs(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return next-token log-probabilities, float32 [n, V]."""
        return self.logits(hidden).float().log_softmax(-1)


def open_family(family: type[HuggingFaceFamily]) -> Callable[..., TokenTreeBackend]:
    """Return the factory of an adapter for one family."""
    return opener(partial(_tree_backend, family))


def open_families(families: Mapping[str, type[HuggingFaceFamily]]) -> Callable[..., TokenTreeBackend]:
    """Return the factory of an adapter for several families, by the ``model_type`` of their checkpoints."""

    def load(checkpoint: Checkpoint) -> HuggingFaceFamily:
        if checkpoint.model_type not in families:
            raise ModelError(
                f"model {checkpoint.model} is {checkpoint.model_type}, not one of {', '.join(families)}",
                hint="leave the adapter out: the checkpoint's own is found",
            )
        return families[checkpoint.model_type](checkpoint)

    return opener(partial(_tree_backend, load))


def _tree_backend(load: Callable[[Checkpoint], HuggingFaceFamily], checkpoint: Checkpoint) -> TokenTreeBackend:
    return TokenTreeBackend(
        lambda: load(checkpoint),
        checkpoint.identity,
        sketch=lambda: load(checkpoint.without_weights),
        files=lambda: checkpoint.files,
    )
