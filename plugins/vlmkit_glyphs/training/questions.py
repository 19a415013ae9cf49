"""Sampling of training questions: short lists of names with hard near-misses, in the framework's own prompt."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from attrs import evolve, frozen

from vlmkit import Label
from vlmkit.prompts import default_prompt
from vlmkit.types.labels import NONE_NAME
from vlmkit_glyphs.names import COLOURS, GLYPHS, LEVELS, SHAPES, TEXTURES, Glyph
from vlmkit_glyphs.training.recipe import Recipe

_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {"colour": COLOURS, "texture": TEXTURES, "shape": SHAPES}
_KINDS = tuple(GLYPHS.values())
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
    glyph = rng.choice(_KINDS)
    level = rng.choice(_INNER_LEVELS) if rng.random() < recipe.share_inner else "leaf"
    truth = getattr(glyph, level)
    shown = _shortlist(glyph, level, options, recipe, rng)
    allow_none = rng.random() < recipe.share_none
    letters = rng.random() < recipe.share_letter
    if allow_none and rng.random() < 0.5:
        shown.remove(truth)
        answer = NONE_NAME
    else:
        answer = _LETTERS[shown.index(truth)] if letters else truth
    text = default_prompt().render([_LABELS[name] for name in shown], allow_none=allow_none, letters=letters)
    return Question(glyph, text, answer)


def _shortlist(glyph: Glyph, level: str, options: int, recipe: Recipe, rng: random.Random) -> list[str]:
    """Choose names of one level, the right one among them, in random order."""
    names = LEVELS[level]
    if options < len(names):
        # A dict, not a set: the order of a set of strings differs from process to process.
        chosen = {getattr(glyph, level): None}
        rivals = _rivals(glyph, recipe, rng)
        while len(chosen) < options:
            chosen[getattr(next(rivals), level)] = None
        names = tuple(chosen)
    return rng.sample(names, len(names))


def _rivals(glyph: Glyph, recipe: Recipe, rng: random.Random) -> Iterator[Glyph]:
    """Yield glyphs that share attributes with one; now and then the glyph itself."""
    while True:
        luck = rng.random()
        changes = 1 if luck < recipe.near_misses else 2 if luck < recipe.near_misses + recipe.far_misses else 3
        yield evolve(glyph, **{name: rng.choice(_ATTRIBUTES[name]) for name in rng.sample(tuple(_ATTRIBUTES), changes)})
