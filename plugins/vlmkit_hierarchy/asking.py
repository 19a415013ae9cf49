"""The strategy behind an evaluation: puts the questions of a bank about one image, all at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Literal, get_args

from attrs import field, frozen
from attrs.validators import ge, in_

from vlmkit import (
    Capability,
    Choose,
    Classify,
    Generate,
    Label,
    Letter,
    Likelihood,
    Prediction,
    Prompt,
    Query,
    Round,
    Solving,
    Task,
)
from vlmkit_hierarchy.bank import Question, Sheet
from vlmkit_hierarchy.letters import LETTER_PARSERS

Mode = Literal["image", "text"]
"""Whether a question shows the image, or tells the name of its leaf in its place."""


@frozen(kw_only=True)
class AskSheet:
    """Asks about every level of an image by itself; the prediction's path has "" where an answer is no option.

    Args:
        sheet_of: From an image's id to its questions.
        ranks: What the levels are called, from the first down; empty where nobody says.
        mode: ``image``, or ``text`` for tasks without images.
        autofill_leaf: Whether the question about the leaf counts as answered right without being asked; the text
            gives it away.
        readout: How a choice is read off the model; None generates text and parses the letter in it.
        parser: Which one of ``LETTER_PARSERS``, for generated text.
        max_tokens: Longest generated reply, in tokens.

    Source: arXiv 2505.24840; text mode with the leaf filled in is that of its code.
    """

    sheet_of: Callable[[str], Sheet]
    ranks: tuple[str, ...] = ()
    mode: Mode = field(default="image", validator=in_(get_args(Mode)))
    autofill_leaf: bool = False
    readout: Letter | Likelihood | None = field(factory=Letter)
    parser: str = field(default="letter-anchored-v1", validator=in_(LETTER_PARSERS))
    max_tokens: int = field(default=10, validator=ge(1))

    @property
    def requires(self) -> frozenset[Capability]:
        """What the readout needs."""
        return frozenset({Capability.GENERATE if self.readout is None else self.readout.requires})

    def solve(self, task: Task) -> Solving:
        """Put all questions about one image in one round."""
        assert isinstance(task, Classify)
        sheet = self.sheet_of(task.id)
        questions = asked(sheet, autofill_leaf=self.autofill_leaf)
        answers = yield [self._query(task, sheet, question) for question in questions]
        if self.readout is None:
            texts = [answer.text for answer in answers]
            names = [parsed(question, text, self.parser) for question, text in zip(questions, texts, strict=True)]
        else:
            names = [answer.choice for answer in answers]
        path = filled(sheet, questions, names)
        survivors = [name for name in names if name is not None]
        played = Round(len(sheet.path), len(questions), survivors, invalid=len(names) - len(survivors))
        return Prediction(path[-1], trace=[played], path=[name or "" for name in path])

    def _query(self, task: Classify, sheet: Sheet, question: Question) -> Query:
        prompt = task.prompt
        if self.mode == "text":
            rank = self.ranks[question.level - 1] if self.ranks else f"category at level {question.level}"
            prompt = _about(prompt, f"Given the {sheet.path[-1]}, what is its {rank}?")
        options = [Label(option) for option in question.options]
        if self.readout is not None:
            return Choose(task.images, options, prompt, self.readout)
        return Generate(task.images, prompt.render(options, letters=True), self.max_tokens)


def asked(sheet: Sheet, *, autofill_leaf: bool) -> Sequence[Question]:
    """Return the questions of a sheet that are put to the model."""
    return [question for question in sheet.questions if not (autofill_leaf and question.level == len(sheet.path))]


def parsed(question: Question, reply: str, parser: str) -> str | None:
    """Return the option that a reply names by its letter, or None."""
    place = LETTER_PARSERS[parser](reply, len(question.options))
    return None if place is None else question.options[place]


def filled(sheet: Sheet, questions: Sequence[Question], names: Iterable[str | None]) -> tuple[str | None, ...]:
    """Return the answered path: the right name at levels that were not asked about, where there was no choice."""
    answers = dict(zip((question.level for question in questions), names, strict=True))
    return tuple(answers.get(level, right) for level, right in enumerate(sheet.path, start=1))


def text_prompt() -> Prompt:
    """Return the words that follow the question in text mode."""
    return Prompt(files("vlmkit_hierarchy").joinpath("named.jinja").read_text(encoding="utf-8"), name="named")


@lru_cache(maxsize=4096)
def _about(prompt: Prompt, sentence: str) -> Prompt:
    """Return the prompt after a sentence; compiling it takes longer than many a forward."""
    return prompt.after(sentence)
