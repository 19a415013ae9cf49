"""The slow, obvious way through transformers alone: one full forward for each answer, nothing shared, nothing kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vlmkit.local.candidates import common_prefix
from vlmkit.local.checkpoint import Checkpoint, quiet
from vlmkit.types import Choose, Letter, Likelihood, Query


class Plain:
    """A checkpoint prompted and run as its model card would have it: what every fast path is held against.

    Args:
        model: Directory or hub id.
        device: As for backends.
        dtype: As for backends.
    """

    def __init__(self, model: str | Path, device: str | None = "cpu", dtype: str | None = "float32") -> None:
        self._checkpoint = Checkpoint(str(model), device, dtype)
        self.processor: Any = self._checkpoint.load_processor()

    @cached_property
    def model(self) -> Any:
        """The model, loaded at first use."""
        from transformers import AutoModelForImageTextToText

        with quiet():
            model = AutoModelForImageTextToText.from_pretrained(
                self._checkpoint.model,
                dtype=self._checkpoint.torch_dtype,
                use_safetensors=True,
                trust_remote_code=False,
            )
        return model.to(self._checkpoint.torch_device).eval()

    def prompt(self, query: Query) -> str:
        """Return the text that the chat template makes of a query."""
        text: str = self.processor.apply_chat_template(_turns(query), tokenize=False, add_generation_prompt=True)
        return text

    def inputs(self, *queries: Query) -> Any:
        """Return what the processor makes of queries, on the device, padded on the left to one length."""
        self.processor.tokenizer.padding_side = "left"
        return self.processor.apply_chat_template(
            [_turns(query) for query in queries],
            tokenize=True,
            add_generation_prompt=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": len(queries) > 1},
        ).to(self._checkpoint.torch_device, dtype=self._checkpoint.torch_dtype)

    def shared_tokens(self, one: Query, other: Query) -> int:
        """Return how many tokens two prompts have in common before they part."""
        first, second = (self.inputs(query)["input_ids"][0].tolist() for query in (one, other))
        return common_prefix(first, second)

    def token_log_probs(self, query: Query, text: str, *, end: bool = False) -> list[float]:
        """Return the log-probability of every token of an answer, in nats.

        Args:
            query: What is asked.
            text: The answer.
            end: Whether the token that ends the model's turn belongs to it.
        """
        return self._answer_log_probs(self.inputs(query), [*self._tokens(text), *([self.end_token] if end else [])])

    def log_probs(self, query: Choose) -> list[float]:
        """Return the score of every option by the readout ``Likelihood()`` or ``Letter()``, in nats."""
        inputs = self.inputs(query)
        if isinstance(query.readout, Letter):
            letters = [self._tokens(chr(ord("A") + index))[0] for index in range(len(query.options))]
            return self._next_log_probs(inputs, 1)[0, letters].tolist()
        assert query.readout == Likelihood()
        answers = [self._tokens(option.name) for option in query.options]
        beginnings = {tuple(ids[:length]) for ids in answers for length in range(1, len(ids))}
        ended = [[*ids, self.end_token] if tuple(ids) in beginnings else ids for ids in answers]
        return [sum(self._answer_log_probs(inputs, ids)) for ids in ended]

    def generate(self, query: Query, max_tokens: int) -> str:
        """Return the greedy reply."""
        return self.replies([query], max_tokens)[0]

    def replies(self, queries: Sequence[Query], max_tokens: int, *, min_tokens: int = 0) -> list[str]:
        """Return the greedy replies to queries that go through ``generate`` together."""
        inputs = self.inputs(*queries)
        out = self.model.generate(
            **inputs, max_new_tokens=max_tokens, min_new_tokens=min_tokens or None, do_sample=False
        )
        replies = out[:, inputs["input_ids"].shape[1] :]
        texts: list[str] = self.processor.tokenizer.batch_decode(replies, skip_special_tokens=True)
        return texts

    @cached_property
    def end_token(self) -> int:
        """Id of the token that ends the model's turn: what the chat template writes after a reply, if that is one."""
        reply = "reply"
        turns = [{"role": role, "content": [{"type": "text", "text": reply}]} for role in ("user", "assistant")]
        written = self.processor.apply_chat_template(turns, tokenize=False).rpartition(reply)[2]
        configured = self.model.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        usual = int(self.processor.tokenizer.eos_token_id)
        after = self._tokens(written)[:1]
        return after[0] if after and after[0] in (usual, *ends) else usual

    @cached_property
    def window(self) -> int | None:
        """How many tokens back the layers with a sliding window or chunks see; None where all see everything."""
        from transformers import AutoConfig

        config = AutoConfig.from_pretrained(self._checkpoint.model, trust_remote_code=False).get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ())
        if "chunked_attention" in kinds:
            return int(config.attention_chunk_size)
        return int(config.sliding_window) if "sliding_attention" in kinds else None

    def _answer_log_probs(self, inputs: Mapping[str, Any], answer: list[int]) -> list[float]:
        """Return the log-probability of every token of an answer, by one forward of prompt and answer."""
        length = inputs["input_ids"].shape[1]
        whole = {
            # One entry a token: masks and kinds of the answer are those of the text right before it.
            name: torch.cat([tensor, *[tensor[:, -1:]] * len(answer)], dim=1)
            if tensor.shape[:2] == (1, length)
            else tensor
            for name, tensor in inputs.items()
        }
        whole["input_ids"][0, length:] = torch.tensor(answer)
        log_probs = self._next_log_probs(whole, len(answer) + 1)
        return [float(log_probs[index, token]) for index, token in enumerate(answer)]

    def _next_log_probs(self, inputs: Mapping[str, Any], last: int) -> torch.Tensor:
        """Return the log-probabilities of what follows each of the last tokens, float32 [last, vocabulary]."""
        with torch.inference_mode():
            logits: torch.Tensor = self.model(**inputs, logits_to_keep=last).logits[0]
        return logits.float().log_softmax(-1)

    def _tokens(self, text: str) -> list[int]:
        ids: list[int] = self.processor.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids


def _turns(query: Query) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = [{"type": "image", "image": image.pixels} for image in query.images]
    return [{"role": "user", "content": [*content, {"type": "text", "text": query.text}]}]
