"""What a server can do beyond plain text, found out by asking."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, get_args

from attrs import frozen

from vlmkit.errors import BackendError, ServerError
from vlmkit_adapters.openai.caller import PLAIN, Caller, RefusedError
from vlmkit_adapters.openai.reading import ANSWERS, has_log_probs, named_log_probs, reply_text

Choices = Literal["structured_outputs", "guided_choice", "none"]
"""The field by which a request limits the reply to given texts: vLLM's present one, its former one, or none."""

Length = Literal["max_tokens", "max_completion_tokens"]
"""The field by which a request limits the length of the reply: the older one, or the only one of some hosted models."""

Switch = Literal["auto", "yes", "no"]
"""Whether a server offers something, or ``auto`` to ask it."""

TOP = 20
"""Most probable tokens that are asked for; more than 20 most servers refuse."""

_ODD_REPLY = "vlmkit-probe"

_ODD_TOKENS = (11, 13)
"""Tokens that every vocabulary has, by their ids; a server that does not heed the ids names no token by them."""

_log = logging.getLogger(__name__)


@frozen
class Form:
    """What a server wants in every request.

    Args:
        length: How it limits the length of replies.
        greedy: Whether it takes the temperature 0; else replies are drawn at its own.
    """

    length: Length
    greedy: bool

    def fields(self, tokens: int) -> Mapping[str, Any]:
        """Return the fields of a request for a reply of at most so many tokens."""
        return {self.length: tokens, **({"temperature": 0} if self.greedy else {})}

    def drawn_fields(self, tokens: int, temperature: float, seed: int) -> Mapping[str, Any]:
        """Return the fields of a request for a reply that is drawn; a server without temperatures draws at its own."""
        return {**self.fields(tokens), **({"temperature": temperature, "seed": seed} if self.greedy else {})}


@frozen
class Offers:
    """What a server can do beyond plain text.

    Args:
        form: What every request must have.
        logprobs: Whether it returns the log-probabilities of the likeliest tokens.
        token_ids: The answers of the readout ``letter`` that are single tokens, with the tokens' ids, where it returns
            the log-probabilities of tokens that are named; else nothing.
        choices: How it limits replies to given texts.
    """

    form: Form
    logprobs: bool
    token_ids: Mapping[str, int]
    choices: Choices

    def ids_of(self, answers: Sequence[str]) -> Sequence[int]:
        """Return the ids by which these answers can be named, or nothing if one of them cannot."""
        ids = [self.token_ids[answer] for answer in answers if answer in self.token_ids]
        return ids if len(ids) == len(answers) else []


def find_offers(
    caller: Caller,
    model: str,
    *,
    length: Literal["auto"] | Length,
    greedy: Switch,
    logprobs: Switch,
    token_ids: Switch,
    choices: Literal["auto"] | Choices,
) -> Offers:
    """Return what a server offers; what is not ``auto`` is believed.

    Raises:
        ServerError: It cannot be reached, keeps failing, takes no plain question, or lacks token ids that it must have.
    """
    lengths: tuple[Length, ...] = get_args(Length) if length == "auto" else (length,)
    temperatures = {"auto": (True, False), "yes": (True,), "no": (False,)}[greedy]
    try:
        form = find_form(caller, model, [Form(one, zero) for zero in temperatures for one in lengths])
        ids = find_token_ids(caller, model, form, token_ids if logprobs != "no" else "no")
        ask = logprobs == "auto" and not ids
        return Offers(
            form,
            find_logprobs(caller, model, form) if ask else logprobs != "no",
            ids,
            find_choices(caller, model, form) if choices == "auto" else choices,
        )
    except RefusedError as error:
        raise ServerError(
            f"{caller.base_url} does not answer a plain question: {error.message}",
            hint="check the model's name, and that this server is one for chat",
        ) from error


def find_form(caller: Caller, model: str, forms: Sequence[Form]) -> Form:
    """Return the first of the forms in which the server takes a plain question; the only one of a list is not tried.

    Raises:
        ServerError: It cannot be reached.
        BackendError: It keeps failing, or takes no question at all; the error is that about the first form.
    """
    if len(forms) == 1:
        return forms[0]
    refusals: list[RefusedError] = []
    for form in forms:
        try:
            caller.ask(_question(model, form), reply_text)
        except RefusedError as refused:
            _refusal(refused)
            refusals.append(refused)
        else:
            return form
    raise refusals[0]


def find_logprobs(caller: Caller, model: str, form: Form) -> bool:
    """Return whether the server returns log-probabilities.

    Raises:
        ServerError: It cannot be reached.
        BackendError: It keeps failing.
    """
    body = {**_question(model, form), **letter_fields()}
    try:
        return caller.ask(body, has_log_probs).content
    except RefusedError as refused:
        return _refusal(refused)


def find_token_ids(caller: Caller, model: str, form: Form, wanted: Switch) -> Mapping[str, int]:
    """Return the ids of the answers of the readout ``letter``, where the server lets tokens be named; else nothing.

    Raises:
        ServerError: It cannot be reached, or gives no ids where ``wanted`` is ``yes``.
        BackendError: It keeps failing.
    """
    if wanted == "no" or (wanted == "auto" and not names_tokens(caller, model, form)):
        return {}
    try:
        return answer_ids(caller, model)
    except BackendError as error:
        if wanted == "yes":
            raise ServerError(error.message, hint="use token_ids=no") from error
        _log.info("%s; letters are read off the likeliest tokens", error.message)
        return {}


def names_tokens(caller: Caller, model: str, form: Form) -> bool:
    """Return whether the server returns the log-probabilities of tokens that are named.

    Raises:
        ServerError: It cannot be reached.
        BackendError: It keeps failing.
    """
    body = {**_question(model, form), **named_fields(_ODD_TOKENS)}
    try:
        return caller.ask(body, named_log_probs).content.keys() >= set(_ODD_TOKENS)
    except RefusedError as refused:
        return _refusal(refused)


def answer_ids(caller: Caller, model: str) -> Mapping[str, int]:
    """Return the answers of the readout ``letter`` that are single tokens, with the tokens' ids.

    One request is enough: each answer stands in a line of its own, the first in two. If these two differ, the tokenizer
    treats the beginning of a text in its own way, and no other line tells what its answer would be by itself.

    Raises:
        BackendError: The server gives no ids, or the tokenizer is of that kind.
    """
    ids = caller.tokenize(model, "\n".join([ANSWERS[0], *ANSWERS]))
    breaks = ids[1:2]
    lines = [list(line) for broken, line in groupby(ids, lambda token: token in breaks) if not broken]
    if len(lines) != 1 + len(ANSWERS) or lines[0] != lines[1]:
        raise BackendError(f"{caller.base_url} does not tokenize a letter alike everywhere in a text")
    return {answer: line[0] for answer, line in zip(ANSWERS, lines[1:], strict=True) if len(line) == 1}


def find_choices(caller: Caller, model: str, form: Form) -> Choices:
    """Return how the server limits replies: by the first field that makes it say what it never would.

    Raises:
        ServerError: It cannot be reached.
        BackendError: It keeps failing.
    """
    fields: tuple[Choices, ...] = ("structured_outputs", "guided_choice")
    for field in fields:
        body = {**_question(model, form), "extra_body": choice_field(field, [_ODD_REPLY])}
        try:
            if caller.ask(body, reply_text).content.strip() == _ODD_REPLY:
                return field
        except RefusedError as refused:
            _refusal(refused)
    return "none"


def letter_fields() -> Mapping[str, Any]:
    """Return the fields that ask for log-probabilities."""
    return {"logprobs": True, "top_logprobs": TOP}


def named_fields(ids: Sequence[int]) -> Mapping[str, Any]:
    """Return the fields that ask for the log-probabilities of these tokens, by which vLLM also writes them."""
    return {"logprobs": True, "extra_body": {"logprob_token_ids": list(ids), "return_tokens_as_token_ids": True}}


def choice_field(choices: Choices, texts: list[str]) -> Mapping[str, Any]:
    """Return the field that limits a reply to ``texts``."""
    return {"structured_outputs": {"choice": texts}} if choices == "structured_outputs" else {"guided_choice": texts}


def _question(model: str, form: Form) -> dict[str, Any]:
    return {"model": model, "messages": PLAIN, **form.fields(16)}


def _refusal(refused: RefusedError) -> Literal[False]:
    """Take a refused field for a missing one; anything else is trouble."""
    if refused.status is None:
        raise refused
    return False
