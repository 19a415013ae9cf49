"""What a backend can do and a strategy can require."""

from __future__ import annotations

from enum import StrEnum


class Capability(StrEnum):
    """One thing that a backend can do; compared before any weights load."""

    LIKELIHOOD = "likelihood"
    """Exact log-probability of each option's text."""
    LETTER = "letter"
    """Log-probability of each option's letter."""
    GENERATE = "generate"
    """Greedy free text, which the ``text`` readout parses."""
    SAMPLE = "sample"
    """Free text drawn at a temperature, by a seed."""
    MULTI_IMAGE = "multi-image"
    """Several images in one query."""
    FEATURES = "features"
    """Hidden states of the vision encoder, the projector and the language model's layers."""
    REDUCE = "reduce"
    """Fewer visual tokens than the model makes of an image, for one query."""
    MASK = "mask"
    """Attention that is restricted layer by layer, for one query."""


INTERVENTIONS = frozenset({Capability.REDUCE, Capability.MASK})
"""What can be changed inside a model for one query."""
