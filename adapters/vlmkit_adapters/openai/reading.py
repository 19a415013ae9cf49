"""What a completion says."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping
from typing import Any

from vlmkit import Ballot, Choose, Outcome, Tokens, Usage
from vlmkit.types.labels import NONE_NAME
from vlmkit_adapters.openai.caller import UnusableReplyError
from vlmkit_adapters.openai.prices import Prices


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
    try:
        first = completion.choices[0].logprobs.content[0]
        top = [(one.token.strip(), float(one.logprob)) for one in first.top_logprobs]
    except (AttributeError, IndexError, TypeError, ValueError):
        raise UnusableReplyError("it has no log-probabilities") from None
    if not top or not all(score <= 1e-3 for _, score in top):  # rounding may lift a certain token above 0
        raise UnusableReplyError("its log-probabilities are no such thing")
    merged: dict[str, float] = {}
    for token, score in top:
        merged[token] = _log_add(merged[token], score) if token in merged else score
    return merged


def letter_ballot(query: Choose, top: Mapping[str, float], usage: Usage) -> Ballot:
    """Return the ballot of the ``letter`` readout.

    A letter that is not among the returned tokens is at most as likely as the least likely of them: it gets the next
    lower number as its score, which never wins over a returned letter. Without any returned letter the reply is
    invalid.
    """
    answers = list(string.ascii_uppercase[: len(query.options)]) + ([NONE_NAME] if query.allow_none else [])
    names = tuple(option.name for option in query.options)
    if not any(answer in top for answer in answers):
        likeliest = max(top, key=lambda token: top[token])
        return Ballot(names, None, Outcome.INVALID, reply=likeliest, prompt=query.text, usage=usage)
    floor = math.nextafter(min(top.values()), -math.inf)
    scores = [top.get(answer, floor) for answer in answers]
    return Ballot.scored(
        names,
        scores[: len(names)],
        none_log_prob=scores[-1] if query.allow_none else None,
        prompt=query.text,
        usage=usage,
    )


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


def _log_add(one: float, other: float) -> float:
    return max(one, other) + math.log1p(math.exp(-abs(one - other)))
