"""What a completion says."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from typing import Any

from vlmkit import Ballot, Choose, Outcome, Tokens, Usage
from vlmkit.types.labels import NONE_NAME
from vlmkit_adapters.openai.caller import UnusableReplyError
from vlmkit_adapters.openai.prices import Prices

ANSWERS = (*string.ascii_uppercase, NONE_NAME)
"""All answers of the ``letter`` readout."""

_TOKEN_ID = "token_id:"


def answers_to(query: Choose) -> list[str]:
    """Return the answers that a query has by the ``letter`` readout, None last where it is offered."""
    return [*ANSWERS[: len(query.options)], *([NONE_NAME] if query.allow_none else [])]


def reply_text(completion: Any) -> str:
    """Return the reply.

    Raises:
        UnusableReplyError: The completion holds none.
    """
    try:
        content = completion.choices[0].message.content
    except (AttributeError, IndexError, TypeError):
        raise UnusableReplyError("it is no chat completion") from None
    return content or ""


def has_log_probs(completion: Any) -> bool:
    """Return whether the completion has log-probabilities.

    Raises:
        UnusableReplyError: It is no completion, or they make no sense.
    """
    reply_text(completion)
    logprobs = getattr(completion.choices[0], "logprobs", None)
    return logprobs is not None and bool(top_log_probs(completion))


def top_log_probs(completion: Any) -> Mapping[str, float]:
    """Return the log-probabilities of the likeliest first tokens in nats, by the tokens' texts without outer blanks.

    Raises:
        UnusableReplyError: There are none, or some are no log-probabilities.
    """
    merged: dict[str, float] = {}
    for token, score in _first_log_probs(completion):
        text = token.strip()
        merged[text] = _log_add(merged[text], score) if text in merged else score
    if not merged:
        raise UnusableReplyError("its log-probabilities are none")
    return merged


def named_log_probs(completion: Any) -> Mapping[int, float]:
    """Return the log-probabilities of first tokens in nats, by the ids by which the tokens are written.

    Tokens that are written as texts are left out: the server was asked for ids, and does not know the field.

    Raises:
        UnusableReplyError: It is no completion, or some are no log-probabilities.
    """
    reply_text(completion)
    if not getattr(getattr(completion.choices[0], "logprobs", None), "content", None):
        return {}
    return {
        int(token.removeprefix(_TOKEN_ID)): score
        for token, score in _first_log_probs(completion)
        if token.startswith(_TOKEN_ID)
    }


def letter_ballot(query: Choose, top: Mapping[str, float], usage: Usage) -> Ballot:
    """Return the ballot of the ``letter`` readout.

    A letter that is not among the returned tokens is at most as likely as the least likely of them: it gets the next
    lower number as its score, which never wins over a returned letter. Without any returned letter the reply is
    invalid.
    """
    answers = answers_to(query)
    if not any(answer in top for answer in answers):
        likeliest = max(top, key=lambda token: top[token])
        names = tuple(option.name for option in query.options)
        return Ballot(names, None, Outcome.INVALID, reply=likeliest, prompt=query.text, usage=usage)
    floor = math.nextafter(min(top.values()), -math.inf)
    return _scored(query, [top.get(answer, floor) for answer in answers], usage)


def exact_ballot(query: Choose, ids: Sequence[int], named: Mapping[int, float], usage: Usage) -> Ballot:
    """Return the ballot of the ``letter`` readout where every answer has its log-probability.

    Args:
        query: The query.
        ids: The tokens of its answers.
        named: Log-probabilities in nats by token.
        usage: What it cost.

    Raises:
        UnusableReplyError: One of the tokens has no log-probability.
    """
    if not named.keys() >= set(ids):
        raise UnusableReplyError("it lacks the log-probabilities of tokens that were named")
    return _scored(query, [named[token] for token in ids], usage)


def usage_of(completion: Any, prices: Prices | None) -> Usage:
    """Return what a completion reports of its tokens; nothing where it reports none.

    A server does not tell pictures from words: all of the prompt that it did not find in its cache counts as branch.
    """
    reported = getattr(completion, "usage", None)
    prompt = getattr(reported, "prompt_tokens", None) or 0
    reply = getattr(reported, "completion_tokens", None) or 0
    cached = getattr(getattr(reported, "prompt_tokens_details", None), "cached_tokens", None) or 0
    cost = prices.of(prompt, cached, reply) if prices is not None else 0.0
    return Usage(queries=1, tokens=Tokens(branch=prompt - cached, generated=reply), cost=cost)


def _first_log_probs(completion: Any) -> Sequence[tuple[str, float]]:
    try:
        first = completion.choices[0].logprobs.content[0]
        returned = [(one.token, float(one.logprob)) for one in first.top_logprobs]
    except (AttributeError, IndexError, TypeError, ValueError):
        raise UnusableReplyError("it has no log-probabilities") from None
    if not all(score <= 1e-3 for _, score in returned):  # rounding may lift a certain token above 0
        raise UnusableReplyError("its log-probabilities are no such thing")
    return returned


def _scored(query: Choose, scores: Sequence[float], usage: Usage) -> Ballot:
    count = len(query.options)
    return Ballot.scored(
        [option.name for option in query.options],
        scores[:count],
        none_log_prob=scores[count] if query.allow_none else None,
        prompt=query.text,
        usage=usage,
    )


def _log_add(one: float, other: float) -> float:
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))
