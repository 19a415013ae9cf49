"""What small random checkpoints of all families share: a tokenizer, a chat template, a text model's configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

Recipe = Callable[[], tuple[Any, Any]]
"""Makes a model and its processor."""

END_OF_TEXT, START_OF_TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
"""Special tokens that every tokenizer has; the first is also the padding."""

_CORPUS = (
    "Which category does the image show? Answer with its name only, exactly as listed. Categories: assistant user " * 4,
    "\n\n\n",
)


def tokenizer(*special_tokens: str, **named: str) -> Any:
    """Return a byte-level BPE tokenizer of 320 tokens at most.

    Args:
        *special_tokens: Those of the family, after those that all have.
        **named: Special tokens by the names under which the family's processor looks for them.
    """
    return trained_tokenizer(_CORPUS, 320, special_tokens, named)


def trained_tokenizer(
    texts: Iterable[str],
    size: int,
    special_tokens: Sequence[str],
    named: Mapping[str, str] = MappingProxyType({}),
) -> Any:
    """Return a byte-level BPE tokenizer trained on texts.

    Args:
        texts: What it is trained on; where ``size`` has room for them, every word is one token.
        size: Most tokens.
        special_tokens: Those of the family, after those that all have.
        named: Special tokens by the names under which the family's processor looks for them.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = [END_OF_TEXT, START_OF_TURN, END_OF_TURN, *special_tokens, *named.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TURN,
        pad_token=END_OF_TEXT,
        extra_special_tokens=dict(named) or special,
    )


def chat_template(image: str) -> str:
    """Return a ChatML template that shows each image as the given text."""
    return (
        "{% for message in messages %}<|im_start|>{{ message.role }}\n"
        "{% if message.content is string %}{{ message.content }}{% else %}{% for part in message.content %}"
        "{% if part.type == 'image' %}" + image + "{% else %}{{ part.text }}{% endif %}"
        "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def text_config(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Return the configuration of a text model with 3 layers of width 64."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32_768,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        **more,
    }
