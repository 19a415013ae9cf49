"""A small real plugin: a backend that reads colours, a data set of coloured pictures, and two strategies.

Tests install its source as a distribution of its own, or load it in their own process.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence

import click
import PIL.Image
from attrs import field, frozen

from vlmkit import (
    Ballot,
    Capability,
    Example,
    Generate,
    LabelSpace,
    Prediction,
    Ranking,
    Round,
    Text,
    Tokens,
    Usage,
    hookimpl,
)
from vlmkit.errors import BackendError, ModelError

COLOURS = {
    "red": (200, 0, 0),
    "green": (0, 200, 0),
    "blue": (0, 0, 200),
    "white": (250, 250, 250),
    "black": (5, 5, 5),
    "grey": (128, 128, 128),
}


@frozen
class ColourBackend:
    """Scores colour names by their distance to the picture's first pixel.

    Args:
        delay: Seconds that each question takes.
        fail: Colour of the pictures that it cannot answer about.
        broken: Whether its weights cannot be loaded.
        model: Checkpoint directory, for which it stands in.
        device: Written into its identity alone.
    """

    delay: float = 0.0
    fail: str | None = None
    broken: bool = False
    model: str = "colours"
    device: str = "cpu"
    capabilities = frozenset({Capability.LIKELIHOOD, Capability.GENERATE})

    @property
    def identity(self):
        return {"model": self.model, "fail": self.fail, "device": self.device}

    def answer(self, queries):
        if self.broken:
            raise ModelError("the weights of colours are damaged", hint="download them again")
        return [self._answer(query) for query in queries]

    def _answer(self, query):
        time.sleep(self.delay)
        usage = Usage(queries=1, forwards=1 / 4, images_encoded=1, tokens=Tokens(trunk=3, branch=2), seconds=0.5)
        pixel = query.images[0].pixels.getpixel((0, 0))
        if self.fail and pixel == COLOURS[self.fail]:
            raise BackendError(f"no answer about {self.fail}")
        if isinstance(query, Generate):
            return Text(f"a reply to {query.text}", prompt=query.text, usage=usage)
        names = [option.name for option in query.options]
        scores = [-float(sum(abs(a - b) for a, b in zip(pixel, COLOURS[name], strict=True))) for name in names]
        return Ballot.scored(names, scores, prompt=query.text, usage=usage)

    def close(self):
        pass


@frozen
class ColourData:
    """One-coloured pictures, in turn.

    Args:
        images: Number of pictures.
        targets: Whether their targets are known.
        question: A question about each, or none.
        bad: Index of a picture that cannot be decoded.
        odd: Whether the last target is no label.
    """

    images: int = 6
    targets: bool = True
    question: str | None = None
    bad: int | None = None
    odd: bool = False
    labels = LabelSpace(COLOURS)

    def __len__(self):
        return self.images

    def __iter__(self) -> Iterator[Example]:
        names = list(COLOURS)
        for index in range(self.images):
            name = names[index % len(names)]
            image = b"no picture" if index == self.bad else PIL.Image.new("RGB", (4, 4), COLOURS[name])
            target = "rad" if self.odd and index == self.images - 1 else name if self.targets else None
            yield Example(f"{index:03d}", (image,), target=target, question=self.question)


@frozen
class Whole:
    """One question over all labels, or the question itself."""

    requires = frozenset({Capability.LIKELIHOOD})

    def solve(self, task):
        if hasattr(task, "question"):
            (reply,) = yield [task.generate()]
            return Prediction(None, text=reply.text)
        (ballot,) = yield [task.choose(task.labels)]
        return Prediction(ballot.choice, ballot.ranking, (_round(task.labels, [ballot]),))


@frozen
class Halves:
    """Groups of labels first, their winners then.

    Args:
        group_size: Labels in a group.
        names: An option whose default is made by a factory.
    """

    group_size: int = 3
    names: tuple[str, ...] = field(factory=lambda: ("a", "b"))
    requires = frozenset({Capability.LIKELIHOOD})

    def solve(self, task):
        groups = [task.labels[i : i + self.group_size] for i in range(0, len(task.labels), self.group_size)]
        ballots = yield [task.choose(group) for group in groups]
        winners = [task.labels.label(ballot.choice) for ballot in ballots]
        (last,) = yield [task.choose(winners)]
        return Prediction(last.choice, last.ranking, (_round(task.labels, ballots), _round(winners, [last])))


@frozen
class Letters:
    """Needs what the backend cannot do."""

    requires = frozenset({Capability.LETTER})

    def solve(self, task):
        return Prediction(None, Ranking())
        yield


def _round(labels: Sequence[object], ballots: Sequence[Ballot]) -> Round:
    return Round(len(labels), len(ballots), [ballot.choice for ballot in ballots])


@hookimpl
def vlmkit_register(registry):
    registry.adapter("colours", f"{__name__}:ColourBackend", summary="Reads colours", model_types=("colour_vl",))
    registry.dataset("colours", f"{__name__}:ColourData", summary="One-coloured pictures")
    registry.strategy("whole", f"{__name__}:Whole", summary="One question")
    registry.strategy("halves", f"{__name__}:Halves", summary="Two rounds")
    registry.strategy("letters", f"{__name__}:Letters", summary="Needs letters")


@hookimpl
def vlmkit_commands(cli):
    @cli.command()
    def greet():
        """Say hello."""
        click.echo(f"hello from process {os.getpid()}")
