"""Questions of data sets, with their pictures as the vision tower reads them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

import torch
from attrs import frozen
from transformers import Qwen3VLProcessor

from vlmkit import Example
from vlmkit.data.images import open_image
from vlmkit.errors import DataError
from vlmkit_glyphs.training.batches import grids, patches


@frozen
class Dialogue:
    """A question about pictures, and its answer.

    Args:
        text: The question.
        answer: What the model should say.
        pictures: Rows of its pictures, in the order shown.
    """

    text: str
    answer: str
    pictures: tuple[int, ...]


@frozen
class Dialogues:
    """The questions of one data set or several.

    Args:
        patches: bfloat16 [pictures, patches, values], on the training device.
        sets: The questions of each data set, by their number of images.
    """

    patches: torch.Tensor
    sets: Sequence[Mapping[int, Sequence[Dialogue]]]

    @classmethod
    def read(
        cls, datasets: Sequence[Iterable[Example]], processor: Qwen3VLProcessor, device: torch.device
    ) -> Dialogues:
        """Read data sets whose examples have a question, its answer as target, and square pictures.

        Raises:
            DataError: A data set is empty, an example lacks something, or a picture is not square.
        """
        rows: list[torch.Tensor] = []
        places: dict[str, int] = {}
        sets: list[dict[int, list[Dialogue]]] = []
        for dataset in datasets:
            found: dict[int, list[Dialogue]] = {}
            for example in dataset:
                if example.question is None or example.target is None or not example.images:
                    raise DataError(
                        f"{example.id} has no question, no answer or no picture", hint="train on data with all three"
                    )
                pictures = [open_image(source, name=example.id) for source in example.images]
                # Questions share pictures.
                new = {picture.digest: picture.pixels for picture in pictures if picture.digest not in places}
                if any(pixels.width != pixels.height for pixels in new.values()):
                    raise DataError(f"a picture of {example.id} is not square", hint="crop it")
                if new:
                    rows.append(patches(processor, [*new.values()]))
                    places |= {digest: len(places) + index for index, digest in enumerate(new)}
                shown = tuple(places[picture.digest] for picture in pictures)
                found.setdefault(len(shown), []).append(Dialogue(example.question, example.target, shown))
            if not found:
                raise DataError("a data set has no question to train on", hint="leave it out")
            sets.append(found)
        return cls(torch.cat(rows).to(device), sets)

    @property
    def texts(self) -> Iterable[str]:
        """What is asked and answered."""
        for dialogues in chain.from_iterable(found.values() for found in self.sets):
            for dialogue in dialogues:
                yield from (dialogue.text, dialogue.answer)

    @property
    def numbers_of_images(self) -> set[int]:
        """How many images questions have."""
        return set().union(*self.sets)

    def draw(self, number: int, rng: random.Random) -> Sequence[Dialogue]:
        """Draw questions with equally many images.

        Over many draws each data set is as likely as any other, and in each any number of images that it has.
        """
        images = rng.choice(tuple(rng.choice(self.sets)))
        able = [found for found in self.sets if images in found]
        drawn = rng.choices(able, [1 / len(found) for found in able], k=number)
        return [rng.choice(found[images]) for found in drawn]

    def images(self, dialogues: Sequence[Dialogue]) -> dict[str, torch.Tensor]:
        """Return the model's arguments for the pictures of these questions, as the image processor names them."""
        rows = torch.tensor([row for dialogue in dialogues for row in dialogue.pictures]).to(self.patches.device)
        return {"pixel_values": self.patches[rows].flatten(0, 1), "image_grid_thw": grids(len(rows)).to(rows.device)}
