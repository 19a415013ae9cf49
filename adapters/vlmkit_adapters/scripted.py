"""A model that rolls dice: for tests, for authors of strategies, and to see what a strategy makes of known errors."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Mapping, Sequence
from math import exp, log
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from attrs import asdict, field, frozen
from attrs.filters import exclude
from attrs.validators import and_, ge, le

from vlmkit import Answer, Ballot, Capability, Choose, Encode, Generate, Image, Query, Reply, Text, Usage
from vlmkit.errors import BackendError, DataError
from vlmkit.parsers import ballot_from_reply
from vlmkit.types.capability import INTERVENTIONS

GARBAGE = "I am not sure what this picture shows."
"""The invalid reply."""

_probability = and_(ge(0.0), le(1.0))


def _read_truth(truth: Path | Mapping[str, str] | None) -> Mapping[str, str] | None:
    if truth is None or isinstance(truth, Mapping):
        return truth
    try:
        read = json.loads(truth.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"truth file {truth} cannot be read ({reason})", hint="give a JSON object") from error
    if not isinstance(read, dict):
        raise DataError(f"truth file {truth} is not a JSON object", hint='write {"image": "label", ...}')
    return MappingProxyType(read)


@frozen
class ScriptedBackend:
    """Answers by a seeded softmax over the options, from the image's digest and the options in their order alone.

    With n options, the right one has the probability ``accuracy * (1 - dilution) ** (n - 1)``; the others share the
    rest evenly. ``Choose`` is answered alike for all three readouts; ``Generate`` with the truth at the rate
    ``accuracy``, else with ``GARBAGE``, and at a temperature another seed is another roll of the dice.

    Args:
        accuracy: Probability of the right option if there were no other.
        dilution: Share of the right answers that each further option costs.
        order_bias: Added to the logit of the option shown first, in nats.
        none_rate: Probability of ``None`` where the query allows it.
        invalid_rate: Probability of an invalid reply, for the ``text`` readout.
        seed: Another seed is another model.
        latency: Seconds that every call of ``answer`` takes.
        truth: Label of each image, by its digest or by its source (for data sets, the example's id), or a JSON file of
            them. Without it the right option is the one whose hash with the image's digest is the lowest; that one
            stays right in every subset of the options, but has nothing to do with what the image shows.
    """

    accuracy: float = field(default=0.9, validator=_probability)
    dilution: float = field(default=0.0, validator=_probability)
    order_bias: float = 0.0
    none_rate: float = field(default=0.0, validator=_probability)
    invalid_rate: float = field(default=0.0, validator=_probability)
    seed: int = 0
    latency: float = field(default=0.0, validator=ge(0.0))
    truth: Mapping[str, str] | None = field(default=None, converter=_read_truth, repr=False)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything that needs no real model."""
        return frozenset(Capability) - INTERVENTIONS - {Capability.FEATURES}

    @property
    def identity(self) -> Mapping[str, Any]:
        """The settings; the truth by its SHA-256."""
        settings = asdict(self, filter=exclude("truth", "latency"))
        truth = None if self.truth is None else _digest(json.dumps(sorted(self.truth.items()))).hex()
        return {"model": "scripted", **settings, "truth": truth}

    def answer(self, queries: Sequence[Query]) -> Sequence[Answer]:
        """Answer every query, in order.

        Raises:
            BackendError: ``truth`` is given and does not know an image, or features are asked for.
        """
        time.sleep(self.latency)
        return [self._answer(query) for query in queries]

    def close(self) -> None:
        """Do nothing: there is no model."""

    def right_option(self, images: Sequence[Image], names: Sequence[str]) -> str | None:
        """Return the right one of ``names``, or None if it is not among them.

        Raises:
            BackendError: ``truth`` is given and does not know the images.
        """
        if self.truth is None:
            return min(names, key=lambda name: _digest(_subject(images), name), default=None)
        known = self._known(images)
        return known if known in names else None

    def _known(self, images: Sequence[Image]) -> str | None:
        if self.truth is None:
            return None
        for key in (key for image in images for key in (image.digest, image.source)):
            if key in self.truth:
                return self.truth[key]
        raise BackendError(
            f"scripted: no truth for image {', '.join(image.source for image in images)}",
            hint="add its source or digest to truth",
        )

    def _answer(self, query: Query) -> Answer:
        if isinstance(query, Encode):
            raise BackendError("scripted has no features", hint="use another model (vlmkit ls adapters)")
        return self._choose(query) if isinstance(query, Choose) else self._generate(query)

    def _choose(self, query: Choose) -> Ballot:
        names = [option.name for option in query.options]
        rng = self._rng(query.images, *names)
        invalid = rng.random() < self.invalid_rate
        ballot = self._scored(query, names, rng)
        if not isinstance(query.readout, Reply):
            return ballot
        reply = GARBAGE if invalid else ballot.choice or "None"
        return ballot_from_reply(query, reply, prompt=query.text, usage=ballot.usage)

    def _scored(self, query: Choose, names: Sequence[str], rng: random.Random) -> Ballot:
        """Draw the choice by the Gumbel-max trick: noise on the logits makes the argmax a draw from their softmax."""
        right, others = self.right_option(query.images, names), len(names) - 1
        logits = np.zeros(len(names) + 1)
        if right is not None and others:
            probability = self.accuracy * (1 - self.dilution) ** others
            logits[names.index(right)] = _logit(probability) + log(others)
        logits[0] += self.order_bias
        logits[-1] = _logit(self.none_rate) + np.logaddexp.reduce(logits[:-1])
        noisy = logits - np.log([rng.expovariate(1.0) for _ in logits])
        shown = noisy if query.allow_none else noisy[:-1]
        log_probs = (shown - np.logaddexp.reduce(shown)).tolist()
        return Ballot.scored(
            names,
            log_probs[: len(names)],
            none_log_prob=log_probs[-1] if query.allow_none else None,
            prompt=query.text,
            usage=Usage(queries=1),
        )

    def _generate(self, query: Generate) -> Text:
        rng = self._rng(query.images, query.text, *([str(query.seed)] if query.temperature else []))
        right = self._known(query.images) if rng.random() < self.accuracy else None
        return Text(right or GARBAGE, prompt=query.text, usage=Usage(queries=1))

    def _rng(self, images: Sequence[Image], *text: str) -> random.Random:
        return random.Random(_digest(str(self.seed), _subject(images), *text))


def _subject(images: Sequence[Image]) -> str:
    return " ".join(image.digest for image in images)


def _digest(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _logit(probability: float) -> float:
    """Return the log-odds, finite also at 0 and 1."""
    clipped = min(max(probability, exp(-50)), 1 - 1e-15)
    return log(clipped / (1 - clipped))
