"""What every backend promises."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from math import isnan
from types import MappingProxyType

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from vlmkit.contracts import Backend, Prepares
from vlmkit.parsers import ballot_from_reply
from vlmkit.testing.contracts.rules import Rules
from vlmkit.types import (
    Answer,
    Ballot,
    Capability,
    Choose,
    Encode,
    Encoding,
    Generate,
    Image,
    Label,
    Letter,
    Likelihood,
    Outcome,
    Query,
    Readout,
    Reply,
    Text,
)

READOUTS: tuple[Readout, ...] = (Likelihood(), Letter(), Reply(max_tokens=8))
"""The readouts that a backend is tried with, where its capabilities hold them."""

OPTIONS = (("cat", "dog", "oak tree"), ("cat", "cat flea", "cat flea bite", "Ärger, groß"), ("dog",))
"""The options of the questions put: plain ones, ones that begin each other, and one alone."""


KINDS: Mapping[type, type] = MappingProxyType({Choose: Ballot, Generate: Text, Encode: Encoding})
"""The kind of answer to each kind of query."""

SITES = ("encoder", "projector", "layer:0", "layer:1", "layer:-1")
"""Where features are read, where the capabilities hold them."""


def check_backend(backend: Backend, *, tolerance: float = 1e-4) -> None:
    """Hold a backend to its contract, with images of three sizes and every readout in its capabilities; close it.

    Capabilities and a JSON-ready identity are there before the first answer, and the capabilities stay. Answers come in
    order and are of the right kind: a ballot shows the query's options in their order and chooses by its scores or by
    the parser of its reply; ``None`` is chosen only where it was offered, and only a reply can be invalid. An encoding
    has a finite float32 vector for each site. An answer is the same whichever queries ride along, in whatever order,
    and when it is asked again. Every answer bills one query, nothing negative, and the forwards of a call add up to a
    whole number. ``prepare()``, where there is one, raises nothing and changes no answer. ``close()`` may be called
    twice.

    Args:
        backend: The backend, fresh; it is closed afterwards.
        tolerance: Largest difference between two scores that are the same, in nats, and between two vectors relative
            to their largest number; replies must be equal.

    Raises:
        ContractError: It breaks a rule.
    """
    rules = Rules(type(backend).__name__)
    capabilities = _check_before_answers(rules, backend)
    queries = list(_queries(capabilities))
    answers = _ask(rules, backend, queries)
    for query, answer in zip(queries, answers, strict=True):
        _check_answer(rules, query, answer, tolerance)
    _check_bill(rules, answers)
    rules.demand(backend.capabilities == capabilities, "capabilities must stay", f"they became {backend.capabilities}")

    def compare(others: Sequence[Answer], rule: str) -> None:
        for query, one, other in zip(queries, answers, others, strict=True):
            rules.demand(_same(one, other, tolerance), rule, f"{_named(query)} got {_short(one)}, then {_short(other)}")

    compare(_ask(rules, backend, queries), "the same call must give the same answers")
    compare(_ask(rules, backend, queries[::-1])[::-1], "the order of queries must not change an answer")
    alone = [_ask(rules, backend, [query])[0] for query in queries]
    compare(alone, "the queries that ride along must not change an answer")
    if isinstance(backend, Prepares):
        with rules.no_error("prepare() must raise nothing"):
            for query in queries:
                backend.prepare(query.images)
        compare(_ask(rules, backend, queries), "to prepare images must not change an answer")
    with rules.no_error("close() must be possible twice"):
        backend.close()
        backend.close()


def _check_before_answers(rules: Rules, backend: Backend) -> frozenset[Capability]:
    with rules.no_error("capabilities and identity must be there before any answer"):
        capabilities, identity = backend.capabilities, backend.identity
    known = isinstance(capabilities, frozenset) and all(isinstance(one, Capability) for one in capabilities)
    rules.demand(known, "capabilities must be a frozenset of Capability", f"they are {capabilities!r}")
    readable = capabilities & {readout.requires for readout in READOUTS}
    rules.demand(bool(readable), "capabilities must hold a readout", f"they are {sorted(capabilities)}")
    rules.demand(isinstance(identity, Mapping), "identity must be a mapping", f"it is {identity!r}")
    with rules.no_error("identity must be JSON-ready"):
        written = json.loads(json.dumps(dict(identity), allow_nan=False))
    rules.demand(written.keys() == identity.keys(), "identity must have text keys", f"they are {list(identity)}")
    return capabilities


def _queries(capabilities: frozenset[Capability]) -> Iterator[Query]:
    images = _images()
    shown: list[tuple[Image, ...]] = [(image,) for image in images]
    if Capability.MULTI_IMAGE in capabilities:
        shown.append(tuple(images[:2]))
    readouts = [readout for readout in READOUTS if readout.requires in capabilities]
    for pictures, names in zip(shown, (*OPTIONS, OPTIONS[0]), strict=False):
        options = [Label(name) for name in names]
        for readout in readouts:
            yield Choose(pictures, options, readout=readout)
            yield Choose(pictures, options, readout=readout, allow_none=True)
        if Capability.GENERATE in capabilities:
            yield Generate(pictures, "What is this?", max_tokens=8)
        if Capability.SAMPLE in capabilities:
            yield Generate(pictures, "What is this?", max_tokens=8, temperature=1.0, seed=1)
        if Capability.FEATURES in capabilities:
            yield Encode(pictures, at=SITES)
            yield Encode(pictures, "What is this?", at=SITES, pool="last")
    if Capability.FEATURES in capabilities:
        yield Encode((), "Given the cat, what is its order?", at=SITES[2:], over="text")


def _images() -> list[Image]:
    rng = random.Random(0)
    sizes = ((64, 48), (96, 96), (40, 120))
    return [
        Image(PIL.Image.frombytes("RGB", (width, height), rng.randbytes(width * height * 3)), source=f"noise-{width}")
        for width, height in sizes
    ]


def _ask(rules: Rules, backend: Backend, queries: Sequence[Query]) -> Sequence[Answer]:
    with rules.no_error("every query that its capabilities promise must be answered"):
        answers = backend.answer(queries)
    count = len(answers)
    rules.demand(count == len(queries), "every query must get an answer", f"{len(queries)} queries got {count}")
    return answers


def _check_answer(rules: Rules, query: Query, answer: Answer, tolerance: float) -> None:
    kind = KINDS[type(query)]
    right = isinstance(answer, kind)
    rules.demand(right, f"a {type(query).__name__} must get a {kind.__name__}", f"a {type(answer).__name__} came")
    if isinstance(query, Encode) and isinstance(answer, Encoding):
        _check_features(rules, query, answer)
    if not isinstance(query, Choose) or not isinstance(answer, Ballot):
        return
    options = tuple(option.name for option in query.options)
    same = answer.options == options
    rules.demand(same, "a ballot must have the query's options in order", f"{options} became {answer.options}")
    known = answer.choice is None or answer.choice in options
    rules.demand(known, "a ballot must choose an option", f"it chose {answer.choice!r} of {options}")
    offered = query.allow_none or answer.outcome is not Outcome.NONE
    rules.demand(offered, "None may be chosen only where it is offered", f"{_named(query)} got it")
    if isinstance(query.readout, Reply):
        _check_reply(rules, query, answer)
    else:
        _check_scores(rules, query, answer, tolerance)


def _check_features(rules: Rules, query: Encode, encoding: Encoding) -> None:
    sites = tuple(encoding.features)
    rules.demand(sites == query.at, "an encoding must have the query's sites in order", f"{query.at} became {sites}")
    for site, vector in encoding.features.items():
        sound = vector.dtype == np.float32 and vector.ndim == 1 and bool(np.isfinite(vector).all())
        rules.demand(sound, "features must be a finite float32 vector", f"{site} is {vector!r}")


def _check_reply(rules: Rules, query: Choose, ballot: Ballot) -> None:
    if ballot.reply is None:
        rules.demand(False, "the text readout must give the reply", "it is None")
        return
    parsed = ballot_from_reply(query, ballot.reply)
    rules.demand(
        (ballot.choice, ballot.outcome) == (parsed.choice, parsed.outcome),
        "a ballot must be what the parser makes of its reply",
        f"{ballot.reply!r} became {ballot.choice!r} ({ballot.outcome})",
    )


def _check_scores(rules: Rules, query: Choose, ballot: Ballot, tolerance: float) -> None:
    if ballot.log_probs is None:
        rules.demand(False, f"the readout {query.readout} must give scores", "log_probs is None")
        return
    none = ballot.none_log_prob
    rules.demand((none is not None) == query.allow_none, "None must have a score where it is offered", f"it is {none}")
    scores = (*ballot.log_probs, *(() if none is None else (none,)))
    sound = not any(isnan(score) or score > tolerance for score in scores)
    rules.demand(sound, "scores must be log-probabilities", f"they are {scores}")
    best = Ballot.scored(ballot.options, ballot.log_probs, none_log_prob=none)
    rules.demand(
        (ballot.choice, ballot.outcome) == (best.choice, best.outcome),
        "a ballot must choose the best score, the earlier option on a tie",
        f"of {scores} it chose {ballot.choice!r} ({ballot.outcome})",
    )


def _check_bill(rules: Rules, answers: Sequence[Answer]) -> None:
    usages = [answer.usage for answer in answers]
    for usage in usages:
        rules.demand(usage.queries == 1, "every answer must bill one query", f"one bills {usage.queries}")
        tokens = usage.tokens
        amounts = (usage.forwards, usage.images_encoded, usage.seconds, tokens.trunk, tokens.branch, tokens.generated)
        rules.demand(min(amounts) >= 0, "usage must not be negative", f"it is {usage}")
    forwards = sum(usage.forwards for usage in usages)
    whole = abs(forwards - round(forwards)) < 1e-6
    rules.demand(whole, "the forwards of a call must add up to a whole number", f"they add up to {forwards}")


def _same(one: Answer, other: Answer, tolerance: float) -> bool:
    if isinstance(one, Text) and isinstance(other, Text):
        return one.text == other.text
    if isinstance(one, Encoding) and isinstance(other, Encoding):
        return all(_close(vector, other.features[site], tolerance) for site, vector in one.features.items())
    if not (isinstance(one, Ballot) and isinstance(other, Ballot)):
        return False
    if one.options != other.options or one.reply != other.reply:
        return False
    scores, others = _all_scores(one), _all_scores(other)
    return len(scores) == len(others) and all(
        a == b or abs(a - b) <= tolerance for a, b in zip(scores, others, strict=True)
    )


def _close(one: NDArray[np.float32], other: NDArray[np.float32], tolerance: float) -> bool:
    return one.shape == other.shape and bool(np.abs(one - other).max() <= tolerance * np.abs(one).max())


def _all_scores(ballot: Ballot) -> tuple[float, ...]:
    return (*(ballot.log_probs or ()), *(() if ballot.none_log_prob is None else (ballot.none_log_prob,)))


def _named(query: Query) -> str:
    shown = "+".join(image.source for image in query.images)
    return f"{type(query.readout if isinstance(query, Choose) else query).__name__} on {shown or 'text alone'}"


def _short(answer: Answer) -> str:
    if isinstance(answer, Ballot):
        return str(answer.reply or _all_scores(answer))
    if isinstance(answer, Encoding):
        return ", ".join(f"{site} {vector[:3]}..." for site, vector in answer.features.items())
    return answer.text if isinstance(answer, Text) else str(answer.error)
