"""Sampling of training questions: short lists of names with hard near-misses, in the framework's own prompt."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from attrs import evolve, frozen

from vlmkit import Label
from vlmkit.prompts import default_prompt
from vlmkit.types.labels import NONE_NAME
from vlmkit_glyphs.names import COLOURS, GLYPHS, LEVELS, SHAPES, TEXTURES, Glyph
from vlmkit_glyphs.training.recipe import Recipe

_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {"colour": COLOURS, "texture": TEXTURES, "shape": SHAPES}
_KINDS = tuple(GLYPHS.values())
_KIN: Mapping[tuple[str, ...], float] = {
    ("shape",): 0.45,
    ("texture", "shape"): 0.25,
    ("colour", "shape"): 0.15,
    ("texture",): 0.1,
    ("colour",): 0.05,
}
"""Which attributes the names of a kin list leave open, and how often."""

_INNER_LEVELS = tuple(level for level in LEVELS if level != "leaf")
_LABELS = {name: Label(name) for level in LEVELS.values() for name in level}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@frozen
class Question:
    """One training question.

    Args:
        glyph: What the picture shows.
        text: The user's words, without image and chat template.
        answer: What the model should say, without the end-of-turn token.
    """

    glyph: Glyph
    text: str
    answer: str


def ask(recipe: Recipe, options: int, rng: random.Random) -> Question:
    """Sample a question with at most ``options`` options; a level with fewer names is shown whole."""
    level = rng.choice(_INNER_LEVELS) if rng.random() < recipe.share_inner else "leaf"
    if options < len(LEVELS[level]):
        lineup = _lineup(level, options, recipe, rng)
        # The right one is drawn after the list: were the others made to resemble it, the list would give it away.
        truth, glyph = rng.choice(list(lineup.items()))
        shown = list(lineup)
    else:
        glyph = rng.choice(_KINDS)
        truth, shown = getattr(glyph, level), list(LEVELS[level])
    rng.shuffle(shown)
    allow_none = rng.random() < recipe.share_none
    letters = rng.random() < recipe.share_letter
    if allow_none and rng.random() < 0.5:
        shown.remove(truth)
        answer = NONE_NAME
    else:
        answer = _LETTERS[shown.index(truth)] if letters else truth
    text = default_prompt().render([_LABELS[name] for name in shown], allow_none=allow_none, letters=letters)
    return Question(glyph, text, answer)


def _lineup(level: str, options: int, recipe: Recipe, rng: random.Random) -> dict[str, Glyph]:
    """Draw distinct names of one level with a glyph for each: kin, or a mixed list with near-misses of each other."""
    if rng.random() < recipe.share_kin:
        return _kin(level, options, rng)
    drawn: list[Glyph] = []
    names: dict[str, Glyph] = {}
    while len(names) < options:
        luck = rng.random()
        changes = 1 if luck < recipe.near_misses else 2 if luck < recipe.near_misses + recipe.far_misses else 3
        other = _changed(rng.choice(drawn or _KINDS), rng.sample(tuple(_ATTRIBUTES), changes), rng)
        drawn.append(other)
        # A dict, not a set: the order of a set of strings differs from process to process.
        names.setdefault(getattr(other, level), other)
    return names


def _kin(level: str, options: int, rng: random.Random) -> dict[str, Glyph]:
    """Draw names that differ in one or two attributes alone, so that nothing but the picture tells them apart.

    Shape is the hardest to see and comes last in a label, where a mixed list has seldom left it open.
    """
    ancestor = rng.choice(_KINDS)
    (open_attributes,) = rng.choices(tuple(_KIN), weights=tuple(_KIN.values()))
    names: dict[str, Glyph] = {}
    for _ in range(4 * options):
        other = _changed(ancestor, open_attributes, rng)
        names.setdefault(getattr(other, level), other)
        if len(names) == options:
            break
    return names


def _changed(glyph: Glyph, attributes: Sequence[str], rng: random.Random) -> Glyph:
    return evolve(glyph, **{name: rng.choice(_ATTRIBUTES[name]) for name in attributes})
