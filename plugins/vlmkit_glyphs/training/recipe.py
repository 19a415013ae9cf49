"""The numbers of a training run."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen
from attrs.validators import and_, ge, gt, le

_SHARE = and_(ge(0.0), le(1.0))


def _number(default: Any, validator: Any, help: str) -> Any:
    return field(default=default, validator=validator, metadata={"help": help})


@frozen
class Recipe:
    """What is trained on and for how long; every field is an option of ``vlmkit glyphs train``."""

    steps: int = _number(7500, ge(1), "Optimizer steps.")
    batch_size: int = _number(48, ge(1), "Questions in a step.")
    learning_rate: float = _number(1.5e-3, gt(0), "Peak learning rate of AdamW.")
    warmup_steps: int = _number(200, ge(1), "Steps in which the learning rate rises from 0.")
    seed: int = _number(0, ge(0), "Seed of weights, pictures and questions.")
    images_per_leaf: int = _number(30, ge(1), "Different pictures of each of the 1,000 leaves.")
    max_options: int = _number(24, and_(ge(4), le(26)), "Longest list of options.")
    growth: float = _number(0.5, _SHARE, "Share of the steps in which the lists grow to that length.")
    near_misses: float = _number(0.4, _SHARE, "Share of options that differ from another one in one attribute.")
    far_misses: float = _number(0.2, _SHARE, "Share of options that differ from another one in two attributes.")
    share_kin: float = _number(0.5, _SHARE, "Share of lists whose names differ in one or two attributes alone.")
    share_inner: float = _number(0.2, _SHARE, "Share of questions about a level or facet above the leaves.")
    share_none: float = _number(0.1, _SHARE, "Share of questions that allow None; in half of them it is right.")
    share_letter: float = _number(0.0, _SHARE, "Share of questions answered by a letter.")
    share_questions: float = _number(0.65, _SHARE, "Share of steps on the questions of --questions, if it is given.")
