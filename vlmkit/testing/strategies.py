"""Values for property tests, as hypothesis strategies; needs hypothesis (``pip install vlmkit[testing]``)."""

from __future__ import annotations

import PIL.Image
from hypothesis import strategies as st

from vlmkit.types import Ask, Ballot, Classify, Image, LabelSpace, Outcome, Task, Taxonomy
from vlmkit.types.labels import NONE_NAME

HARD_NAMES = (NONE_NAME, "none", "cat", "Cat", " cat", "cat flea", "red, green", 'a "quoted" one', "Ärger", "猫")
"""Legal names that break careless code: ``None`` itself, case twins, outer blanks, prefixes, commas, quotes."""


def label_names() -> st.SearchStrategy[str]:
    """Generate legal label names, hard ones among them."""
    return st.sampled_from(HARD_NAMES) | _texts(min_size=1).filter(str.strip)


def label_spaces(*, min_size: int = 0, max_size: int = 30) -> st.SearchStrategy[LabelSpace]:
    """Generate label spaces.

    Args:
        min_size: Fewest labels.
        max_size: Most labels.
    """
    return st.lists(label_names(), min_size=min_size, max_size=max_size, unique=True).map(LabelSpace)


@st.composite
def taxonomies(draw: st.DrawFn, *, max_leaves: int = 20, max_depth: int = 5, ranks: bool = True) -> Taxonomy:
    """Generate taxonomies: ragged, with single children, and with one name in several places.

    Args:
        draw: Given by hypothesis.
        max_leaves: Most leaves.
        max_depth: Most levels below the root.
        ranks: Whether some name their levels.
    """
    names = draw(st.lists(label_names(), min_size=1, max_size=6, unique=True))
    paths = st.lists(st.sampled_from(names), min_size=1, max_size=max_depth).map(tuple)
    drawn = draw(st.lists(paths, min_size=1, max_size=max_leaves, unique=True))
    beginnings = {path[:depth] for path in drawn for depth in range(len(path))}
    leaves = [path for path in drawn if path not in beginnings]
    depth = max(map(len, leaves))
    named = ranks and draw(st.booleans())
    return Taxonomy(leaves, tuple(f"rank {number}" for number in range(depth)) if named else ())


def images() -> st.SearchStrategy[Image]:
    """Generate images of one colour, 1 to 64 pixels a side."""
    side, level = st.integers(1, 64), st.integers(0, 255)
    pixels = st.builds(PIL.Image.new, st.just("RGB"), st.tuples(side, side), st.tuples(level, level, level))
    return st.builds(Image, pixels)


def tasks(
    labels: st.SearchStrategy[LabelSpace] | None = None, *, free_questions: bool = False
) -> st.SearchStrategy[Task]:
    """Generate tasks about one image.

    Args:
        labels: Label spaces to classify over; by default all of them.
        free_questions: Whether ``Ask`` tasks are among them.
    """
    about = {"images": st.tuples(images()), "id": _texts(), "seed": st.integers(0, 2**32)}
    classify = st.builds(Classify, labels=label_spaces() if labels is None else labels, **about)
    return classify | st.builds(Ask, question=_texts(min_size=1), **about) if free_questions else classify


@st.composite
def ballots(
    draw: st.DrawFn, options: st.SearchStrategy[LabelSpace] | None = None, *, scored: bool | None = None
) -> Ballot:
    """Generate ballots of every outcome.

    Args:
        draw: Given by hypothesis.
        options: Label spaces that are offered, none of them empty; by default small ones.
        scored: Whether ballots have scores; None mixes ballots with and without.
    """
    names = draw(label_spaces(min_size=1, max_size=8) if options is None else options).names
    if draw(st.booleans()) if scored is None else scored:
        score = st.floats(-50.0, 0.0)
        scores = draw(st.lists(score, min_size=len(names), max_size=len(names)))
        return Ballot.scored(names, scores, none_log_prob=draw(st.none() | score))
    outcome = draw(st.sampled_from(Outcome))
    choice = draw(st.sampled_from(names)) if outcome is Outcome.SELECTED else None
    reply = {Outcome.SELECTED: choice, Outcome.NONE: NONE_NAME, Outcome.INVALID: "I cannot tell."}[outcome]
    return Ballot(options=names, choice=choice, outcome=outcome, reply=reply)


def _texts(*, min_size: int = 0) -> st.SearchStrategy[str]:
    """Generate texts of any characters but control characters and surrogates.

    ``st.text`` would do, but its first use in a folder takes seconds for a table of all of Unicode.
    """
    characters = st.integers(32, 126) | st.integers(128, 0xD7FF) | st.integers(0xE000, 0x10FFFF)
    return st.lists(characters.map(chr), min_size=min_size, max_size=20).map("".join)
