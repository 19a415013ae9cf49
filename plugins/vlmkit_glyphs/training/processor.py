"""Tokenizer, chat template and image processor of the embedded model, as an ordinary Hugging Face processor."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

from vlmkit import Label
from vlmkit.prompts import default_prompt
from vlmkit.types.labels import NONE_NAME
from vlmkit_glyphs.drawing import SIZE
from vlmkit_glyphs.names import LEVELS

PATCH, MERGE = 8, 2
"""Side of a vision patch in pixels, and of the square of patches that becomes one visual token."""

END = "<|im_end|>"
PAD = "<|endoftext|>"
SPECIAL_TOKENS = (
    PAD,
    "<|im_start|>",
    END,
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

MAX_LENGTH = 32_768
"""Longest sequence in tokens."""

_MAX_VOCABULARY = 700

_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""The pre-tokenisation of Qwen: words with the blank before them, single digits, runs of punctuation."""


def build_processor() -> Qwen3VLProcessor:
    """Build the processor; pictures of any size are scaled to the area of 48 x 48 pixels, square ones to just that."""
    layout = {"patch_size": PATCH, "temporal_patch_size": 1, "merge_size": MERGE}
    area = {"shortest_edge": SIZE * SIZE, "longest_edge": SIZE * SIZE}
    scale = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen3VLProcessor(
        Qwen2VLImageProcessor(size=area, **layout, **scale),
        _build_tokenizer(),
        Qwen3VLVideoProcessor(size=area, **layout, **scale),
        chat_template=files(__package__).joinpath("chat_template.jinja").read_text(encoding="utf-8"),
    )


def _build_tokenizer() -> PreTrainedTokenizerFast:
    """Train a byte-level BPE in which every word of the labels and of the prompt is one token.

    It has no unknown token and no normaliser: any text comes back byte for byte.
    """
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        _corpus(),
        trainers.BpeTrainer(
            vocab_size=_MAX_VOCABULARY,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (END, PAD)],
        model_max_length=MAX_LENGTH,
        clean_up_tokenization_spaces=False,
    )


def _corpus() -> Iterator[str]:
    """Yield the names as they stand at the start of a line and after a blank, then the words of the prompt."""
    names = [NONE_NAME, *(name for level in LEVELS.values() for name in level)]
    for name in names:
        for word in name.split():
            yield from (word, f" {word}")
    yield from ("user\n", "assistant\n")
    for letters in (False, True):
        for none in (False, True):
            yield default_prompt().render([Label(names[-1])], allow_none=none, letters=letters)
