"""Questions of data sets, with their pictures as the vision tower reads them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

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
        by_images: The questions of each data set, by their number of images.
    """

    patches: torch.Tensor
    by_images: Mapping[int, Sequence[Sequence[Dialogue]]]

    @classmethod
    def read(
        cls, datasets: Sequence[Iterable[Example]], processor: Qwen3VLProcessor, device: torch.device
    ) -> Dialogues:
        """Read data sets whose examples have a question, its answer as target, and square pictures.

        Raises:
            DataError: An example lacks something, or a picture is not square.
        """
        rows: list[torch.Tensor] = []
        read = 0
        by_images: dict[int, list[list[Dialogue]]] = {}
        for dataset in datasets:
            found: dict[int, list[Dialogue]] = {}
            for example in dataset:
                if example.question is None or example.target is None or not example.images:
                    raise DataError(
                        f"{example.id} has no question, no answer or no picture", hint="train on data with all three"
                    )
                pictures = [open_image(source, name=example.id).pixels for source in example.images]
                if any(picture.width != picture.height for picture in pictures):
                    raise DataError(f"a picture of {example.id} is not square", hint="crop it")
                rows.append(patches(processor, pictures))
                places = tuple(range(read, read + len(pictures)))
                read += len(pictures)
                found.setdefault(len(places), []).append(Dialogue(example.question, example.target, places))
            for images, dialogues in found.items():
                by_images.setdefault(images, []).append(dialogues)
        return cls(torch.cat(rows).to(device), dict(sorted(by_images.items())))

    @property
    def texts(self) -> Iterable[str]:
        """What is asked and answered."""
        for sets in self.by_images.values():
            for dialogue in (dialogue for dialogues in sets for dialogue in dialogues):
                yield from (dialogue.text, dialogue.answer)

    def draw(self, number: int, rng: random.Random) -> Sequence[Dialogue]:
        """Draw questions with equally many images; any such number is as likely, then any data set that has it."""
        sets = self.by_images[rng.choice(tuple(self.by_images))]
        return [rng.choice(rng.choice(sets)) for _ in range(number)]

    def images(self, dialogues: Sequence[Dialogue]) -> dict[str, torch.Tensor]:
        """Return the model's arguments for the pictures of these questions, as the image processor names them."""
        rows = torch.tensor([row for dialogue in dialogues for row in dialogue.pictures]).to(self.patches.device)
        return {"pixel_values": self.patches[rows].flatten(0, 1), "image_grid_thw": grids(len(rows)).to(rows.device)}
