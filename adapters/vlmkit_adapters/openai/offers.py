"""What a server can do beyond plain text, found out by asking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, cast, get_args

from attrs import frozen

from vlmkit_adapters.openai.caller import PLAIN, Caller, RefusedError
from vlmkit_adapters.openai.reading import has_log_probs, reply_text

Choices = Literal["structured_outputs", "guided_choice", "none"]
"""The field by which a request limits the reply to given texts: vLLM's present one, its former one, or none."""

Length = Literal["max_tokens", "max_completion_tokens"]
"""The field by which a request limits the length of the reply: the older one, or the only one of some hosted models."""

TOP = 20
"""Most probable tokens that are asked for; more than 20 most servers refuse."""

_ODD_REPLY = "vlmkit-probe"


@frozen
class Offers:
    """What a server can do beyond plain text.

    Args:
        length: How it limits the length of replies.
        logprobs: Whether it returns the log-probabilities of the likeliest tokens.
        choices: How it limits replies to given texts.
    """

    length: Length
    logprobs: bool
    choices: Choices


def find_length(caller: Caller, model: str) -> Length:
    """Return how the server limits the length of replies: by the first field with which it takes a plain question.

    Raises:
        ServerError: It cannot be reached.
        BackendError: It keeps failing, or takes no question at all; the error is that about the first field.
    """
    first, second = get_args(Length)
    try:
        caller.ask(_question(model, first), reply_text)
    except RefusedError as refused:
        _refusal(refused)
        try:
            caller.ask(_question(model, second), reply_text)
        except RefusedError:
            raise refused from None
        return cast(Length, second)
    return cast(Length, first)


def find_logprobs(caller: Caller, model: str, length: Length) -> bool:
    """Return whether the server returns log-probabilities.

    Raises:
        ServerError: It cannot be reached.
        BackendError: It keeps failing.
    """
    body = {**_question(model, length), **letter_fields()}
    try:
        return caller.ask(body, has_log_probs).content
    except RefusedError as refused:
        return _refusal(refused)


def find_choices(caller: Caller, model: str, length: Length) -> Choices:
    """Return how the server limits replies: by the first field that makes it say what it never would.

    Raises:
        ServerError: It cannot be reached.
        BackendError: It keeps failing.
    """
    fields: tuple[Choices, ...] = ("structured_outputs", "guided_choice")
    for field in fields:
        body = {**_question(model, length), "extra_body": choice_field(field, [_ODD_REPLY])}
        try:
            if caller.ask(body, reply_text).content.strip() == _ODD_REPLY:
                return field
        except RefusedError as refused:
            _refusal(refused)
    return "none"


def letter_fields() -> Mapping[str, Any]:
    """Return the fields that ask for log-probabilities."""
    return {"logprobs": True, "top_logprobs": TOP}


def choice_field(choices: Choices, texts: list[str]) -> Mapping[str, Any]:
    """Return the field that limits a reply to ``texts``."""
    return {"structured_outputs": {"choice": texts}} if choices == "structured_outputs" else {"guided_choice": texts}


def _question(model: str, length: Length) -> dict[str, Any]:
    return {"model": model, "temperature": 0, length: 16, "messages": PLAIN}


def _refusal(refused: RefusedError) -> Literal[False]:
    """Take a refused field for a missing one; anything else is trouble."""
    if refused.status is None:
        raise refused
    return False
