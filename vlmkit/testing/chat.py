"""The chat requests of the OpenAI protocol, from the server's side: what is asked, and what a completion looks like."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from attrs import field, frozen

from vlmkit.contracts import Backend
from vlmkit.data.images import open_image
from vlmkit.types import Ballot, Choose, Generate, Image, Label, Letter, Reply, Text

ChoiceField = Literal["structured_outputs", "guided_choice"]
"""The field by which a request limits the reply to given texts."""

LengthField = Literal["max_tokens", "max_completion_tokens"]
"""The field by which a request limits the length of the reply."""

Tokenizer = Callable[[str], Sequence[int]]
"""From a text to the ids of its tokens."""

PICTURE_TOKENS = 100
"""Tokens that a picture counts for in the reported usage; a word counts for one."""

_LOWEST = -9999.0
"""What vLLM writes for any log-probability below it."""


@frozen
class Asked:
    """One chat request, as the function that answers it sees it.

    Args:
        images: The pictures, decoded.
        text: The words.
        choices: The only replies that are wanted, where the server can see to that.
        letters: Whether log-probabilities are wanted.
        max_tokens: Longest reply, in tokens.
        temperature: What logits are divided by before a token is drawn; at 0 none is.
        seed: Fixes what is drawn.
    """

    images: tuple[Image, ...]
    text: str
    choices: tuple[str, ...] | None
    letters: bool
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0


@frozen
class Said:
    """The answer to a chat request.

    Args:
        text: The reply.
        log_probs: Log-probabilities of the first token in nats, by token; where they were wanted.
    """

    text: str
    log_probs: Mapping[str, float] = field(factory=dict)


def by_word(text: str) -> Sequence[int]:
    """Tokenize as simply as can be: a word is a token, and so is any character between words."""
    return [zlib.crc32(word.encode()) for word in re.findall(r"\w+|\W", text)]


def answered_by(backend: Backend) -> Callable[[Asked], Said]:
    """Let a backend answer, so that what comes through the server can be compared with what the backend says itself.

    The options are read off the built-in prompt ``choose``; words without them are a free question.
    """

    def answer(asked: Asked) -> Said:
        options = _options(asked)
        if not options:
            if asked.choices is not None:
                return Said(asked.choices[0])
            query = Generate(asked.images, asked.text, temperature=asked.temperature, seed=asked.seed)
            (text,) = backend.answer([query]) if asked.images else [Text("Hello.")]
            assert isinstance(text, Text)
            return Said(text.text, {text.text.split()[0]: -0.1} if asked.letters else {})
        readout = Letter() if asked.letters else Reply()
        allow_none = "say None only if" in asked.text
        choose = Choose(asked.images, tuple(map(Label, options)), readout=readout, allow_none=allow_none)
        (ballot,) = backend.answer([choose])
        assert isinstance(ballot, Ballot)
        if not asked.letters:
            return Said(ballot.reply or "")
        assert ballot.log_probs is not None
        scores = {chr(ord("A") + index): score for index, score in enumerate(ballot.log_probs)}
        if ballot.none_log_prob is not None:
            scores["None"] = ballot.none_log_prob
        return Said(max(scores, key=lambda letter: scores[letter]), scores)

    return answer


def asked_in(body: Mapping[str, Any], limited_by: ChoiceField | None) -> Asked:
    """Read a request; the field ``limited_by`` is heeded, its other name ignored."""
    limits = None if limited_by is None else body.get(limited_by)
    choices = limits["choice"] if isinstance(limits, Mapping) else limits
    return Asked(
        images=tuple(_picture(url) for url in picture_urls(body)),
        text="\n".join(part["text"] for part in _parts(body) if part["type"] == "text"),
        choices=None if choices is None else tuple(choices),
        letters=bool(body.get("logprobs")),
        max_tokens=next((body[field] for field in get_args(LengthField) if field in body), 256),
        temperature=body.get("temperature", 0.0),
        seed=body.get("seed", 0),
    )


def picture_urls(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the data URLs of a request's pictures, in order."""
    return tuple(part["image_url"]["url"] for part in _parts(body) if part["type"] == "image_url")


def _parts(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    contents = [message["content"] for message in body.get("messages", ())]
    split = [[{"type": "text", "text": one}] if isinstance(one, str) else one for one in contents]
    return [part for parts in split for part in parts]


def _picture(url: str) -> Image:
    return open_image(base64.b64decode(url.partition(",")[2]))


def _options(asked: Asked) -> list[str]:
    _, found, listed = asked.text.partition("\nCategories:\n")
    lines = listed.splitlines() if found else []
    return [line.partition(". ")[2] for line in lines] if asked.letters else lines


def returned_tokens(
    body: Mapping[str, Any], log_probs: Mapping[str, float], tokenizer: Tokenizer | None
) -> Mapping[str, float]:
    """Return the log-probabilities that a request asks for: of the tokens that it names, or else of the likeliest.

    Args:
        body: The request.
        log_probs: All there are, by token.
        tokenizer: What tells tokens by their ids, or None where the request's names of tokens are ignored.
    """
    likeliest = dict(sorted(log_probs.items(), key=lambda pair: -pair[1]))
    if tokenizer is None or "logprob_token_ids" not in body:
        return dict(list(likeliest.items())[: body.get("top_logprobs", 0)])
    by_id = {ids[0]: score for token, score in likeliest.items() if len(ids := tokenizer(token)) == 1}
    named = dict.fromkeys([*list(by_id)[:1], *body["logprob_token_ids"]])
    return {f"token_id:{token}": by_id.get(token, _LOWEST) for token in named}


def completion(
    model: str, said: Said, asked: Asked, tokens: Mapping[str, float], cached_pictures: int
) -> Mapping[str, Any]:
    """Return the completion that says it; the pictures that stood in a cache are told from the others."""
    choice: dict[str, Any] = {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": said.text},
        "logprobs": None,
    }
    if asked.letters:
        listed = [{"token": token, "logprob": score, "bytes": None} for token, score in tokens.items()]
        sampled = {"token": said.text, "logprob": max(said.log_probs.values()), "bytes": None}
        choice["logprobs"] = {"content": [{**sampled, "top_logprobs": listed}], "refusal": None}
    prompt, reply = len(asked.text.split()) + PICTURE_TOKENS * len(asked.images), len(said.text.split())
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": reply,
        "total_tokens": prompt + reply,
        "prompt_tokens_details": {"cached_tokens": PICTURE_TOKENS * cached_pictures},
    }
    return {
        "id": "chat-0", "object": "chat.completion", "created": 0, "model": model, "choices": [choice], "usage": usage
    }  # fmt: skip


def nonsense(completion: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the completion with impossible log-probabilities, or none of its text where it has none."""
    (choice,) = completion["choices"]
    if choice["logprobs"] is None:
        return {**completion, "choices": []}
    top = [{"token": "A", "logprob": 5.0, "bytes": None}]
    return {**completion, "choices": [{**choice, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}]}
