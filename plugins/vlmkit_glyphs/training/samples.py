"""What one step trains on: lists of names about one picture, or the questions of data sets about several."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import torch
from attrs import frozen

from vlmkit_glyphs.training.batches import Batch, Encoder, Pictures
from vlmkit_glyphs.training.dialogues import Dialogues
from vlmkit_glyphs.training.questions import ask
from vlmkit_glyphs.training.recipe import Recipe


@frozen
class Sample:
    """One step's questions with their pictures.

    Args:
        batch: The questions.
        pictures: The model's arguments for the pictures of all questions, as the image processor names them.
        images: Pictures of each question.
    """

    batch: Batch
    pictures: Mapping[str, torch.Tensor]
    images: int


Sampler = Callable[[float, random.Random], Sample]
"""From the progress of the training, 0 to 1, and where chance comes from to what a step trains on."""


@frozen
class Lists:
    """Samples lists of names, which grow as the training goes on.

    Args:
        recipe: Of which kinds.
        encoder: Makes batches.
        pictures: Pictures of every leaf.
    """

    recipe: Recipe
    encoder: Encoder
    pictures: Pictures

    def __call__(self, progress: float, rng: random.Random) -> Sample:
        """Sample questions over one number of options."""
        grown = min(1.0, progress / self.recipe.growth) if self.recipe.growth else 1.0
        longest = round(4 + grown * (self.recipe.max_options - 4))
        options = rng.randint(2, longest)
        questions = [ask(self.recipe, options, rng) for _ in range(self.recipe.batch_size)]
        pictures = self.pictures.of([question.glyph for question in questions], rng)
        return Sample(self.encoder.encode(questions), pictures, 1)


@frozen
class Mixed:
    """Samples lists of names in some steps, and the questions of data sets in the others.

    Args:
        recipe: How often the one and the other.
        lists: The lists.
        dialogues: The questions.
        encoders: Make batches, by the number of images of a question.
    """

    recipe: Recipe
    lists: Lists
    dialogues: Dialogues
    encoders: Mapping[int, Encoder]

    def __call__(self, progress: float, rng: random.Random) -> Sample:
        """Sample questions of one kind, with equally many images."""
        if rng.random() >= self.recipe.share_questions:
            return self.lists(progress, rng)
        drawn = self.dialogues.draw(self.recipe.batch_size, rng)
        images = len(drawn[0].pictures)
        return Sample(self.encoders[images].encode(drawn), self.dialogues.images(drawn), images)
