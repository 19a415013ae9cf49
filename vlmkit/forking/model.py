"""Any vision-language checkpoint: its prompts in tokens, and how its states are continued."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property

import PIL.Image
import torch
from attrs import frozen

from vlmkit.forking.states import Continuation, Forks, Opening, Reruns, Rows
from vlmkit.local.bill import Bill
from vlmkit.local.chat import ChatModel
from vlmkit.local.checkpoint import Checkpoint
from vlmkit.types import Image, Usage

log = logging.getLogger("vlmkit")


@frozen(eq=False)
class Prompt:
    """A whole prompt in tokens.

    Args:
        ids: Token ids, placeholders expanded.
        opening: Its beginning up to the last image.
    """

    ids: tuple[int, ...]
    opening: Opening


class ForkingModel(ChatModel):
    """A loaded checkpoint of any family.

    Args:
        checkpoint: What to load.
    """

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__(checkpoint, checkpoint.load_processor(), checkpoint.load_model())

    def prompts(self, texts: Sequence[str], images: Sequence[Image]) -> list[Prompt]:
        """Return prompts about the same images in tokens; all share one opening where their beginnings are alike."""
        ids, inputs = self._processed(texts[0], images)
        tails = self._tails(texts, ids, len(images))
        if tails is None:  # where the image's frame may merge with the words, only the processor knows how
            made = [self._processed(text, images) for text in texts]
            return [Prompt(ids, self._opening(ids[:-1], inputs, len(images))) for ids, inputs in made]
        head = ids[: len(ids) - len(tails[0])]
        opening = self._opening(head, inputs, len(images))
        return [Prompt((*head, *tail), opening) for tail in tails]

    def _processed(self, text: str, images: Sequence[Image]) -> tuple[tuple[int, ...], Mapping[str, torch.Tensor]]:
        """Return token ids and all else that the processor makes of a prompt, as its chat template would call it."""
        begun = self.processor.tokenizer.bos_token is not None and text.startswith(self.processor.tokenizer.bos_token)
        made = self.processor(
            text=[text],
            images=[[image.pixels for image in images]] if images else None,
            return_tensors="pt",
            **({"add_special_tokens": False} if begun else {}),
        )
        inputs = {key: value for key, value in made.items() if key not in ("input_ids", "attention_mask")}
        return tuple(made["input_ids"][0].tolist()), inputs

    def _opening(self, ids: tuple[int, ...], inputs: Mapping[str, torch.Tensor], images: int) -> Opening:
        """Return the opening of a prompt that begins with these tokens and shows all its images in them."""
        last = max((index for index, token in enumerate(ids) if token in self._image_tokens), default=len(ids) - 1)
        return Opening(ids[: last + 1 if images else 1], inputs, images)

    def _tails(self, texts: Sequence[str], ids: Sequence[int], images: int) -> list[Sequence[int]] | None:
        """Return the tokens of each text after the last special token before the words; None if they cannot be told.

        No text merges with a special token, so what follows it can be turned into tokens by itself.
        """
        before, _ = self.frame(images)
        start = max((before.rfind(mark) + len(mark) for mark in self._marks if mark in before), default=0)
        tails = self.tokenize([text[start:] for text in texts])
        own = len(ids) - len(tails[0])
        alike = own > 0 and list(ids[own:]) == list(tails[0]) and ids[own - 1] in self._marks.values()
        return list(tails) if alike else None

    @cached_property
    def _marks(self) -> Mapping[str, int]:
        """Special tokens, which stand for themselves wherever they occur."""
        return {str(token): index for index, token in self.processor.tokenizer.added_tokens_decoder.items()}

    @cached_property
    def _image_tokens(self) -> frozenset[int]:
        marker = getattr(self.processor, "image_token_id", None)
        return frozenset(token for token in (self.image_token, marker) if token is not None)

    @cached_property
    def image_token(self) -> int | None:
        """Id of the placeholder token that visual tokens replace; None if it cannot be told."""
        named = [getattr(self.model.config, name, None) for name in ("image_token_id", "image_token_index")]
        known = [token for token in (*named, getattr(self.processor, "image_token_id", None)) if token is not None]
        return known[0] if known else None

    @cached_property
    def continuation(self) -> Continuation:
        """Forks if they are seen to continue a question about an image as one whole forward would, else reruns."""
        noise = torch.randint(256, (64, 96, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        image = Image(PIL.Image.fromarray(noise.numpy()))
        (prompt,) = self.prompts([self.chat("Which category does the image show?", 1)], [image])
        reruns, forks = Reruns(self.model), Forks(self.model)
        expected = self._last_logits(reruns, prompt)
        try:
            unlike = _difference(self._last_logits(forks, prompt), expected)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the model's own code may do anything with a cache that it did not expect
            unlike, reason = float("inf"), f"{type(error).__name__}: {error}"
        else:
            reason = f"logits differ by {unlike:.1%}"
        tolerance = 1e-3 if self.model.dtype == torch.float32 else 0.05
        if unlike <= tolerance:
            return forks
        log.warning("the cache of %s cannot be forked (%s): every question runs in full", self.checkpoint.model, reason)
        return reruns

    def _last_logits(self, way: Continuation, prompt: Prompt) -> torch.Tensor:
        """Return the logits after a prompt whose last token is run by itself, in two rows; [2, V]."""
        bill = Bill([Usage()])
        state = way.begin(prompt.opening, 0, bill)
        rest = prompt.ids[len(prompt.opening.ids) :]
        if len(rest) > 1:
            _, state = way.extend(state, Rows([0], [rest[:-1]], [0]), 0, bill)
        logits, _ = way.extend(state, Rows([0, 0], [rest[-1:]] * 2, [0, 0]), 1, bill)
        return logits[:, -1].float()


def _difference(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Return how far logits are apart, relative to how far they spread."""
    return float((got - expected).norm() / (expected - expected.mean(-1, keepdim=True)).norm())
