"""From what a user calls a model to the checkpoint behind it, random ones made on the spot."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from attrs import frozen

from vlmkit.errors import ModelError, UnknownNameError
from vlmkit.prompts import default_prompt
from vlmkit.registry import Builder, Spec
from vlmkit.testing.models import RECIPES, SIZES, sized_checkpoint, small_checkpoint
from vlmkit.types import Label

RANDOM = "random:"
"""What stands before the name of a size."""


@frozen
class Located:
    """A model and its checkpoint.

    Args:
        model: What a backend is built from.
        source: Where ``checkpoint`` lies; None for a server and for what is no model.
        random: Whether the weights are random, so that a reply never ends by itself.
    """

    model: str
    source: str | None
    random: bool = False

    @property
    def checkpoint(self) -> str:
        """What transformers loads, where there is something: a directory or a hub id."""
        assert self.source is not None
        return self.source


def located(model: str, builder: Builder, folder: Path) -> Located:
    """Find the checkpoint of a model that must have one, or make it; as ``resolved``.

    Raises:
        UnknownNameError: There is no such size.
        ModelError: There is no checkpoint behind the model.
    """
    found = resolved(model, builder, folder)
    if found.source is None:
        name = model.partition(":")[0]
        raise ModelError(f"adapter {name} has no checkpoint to compare with", hint="give a checkpoint directory")
    return found


def resolved(
    model: str, builder: Builder, folder: Path, *, words: Sequence[str] = (), device: str | None = None
) -> Located:
    """Find a model, and its checkpoint where it has one; make it where it is random.

    Args:
        model: A name of ``RECIPES``, ``random:`` and a name of ``SIZES`` or the directory of one that was
            drawn before, else as for ``vlmkit run``.
        builder: Knows the adapters.
        folder: Where random checkpoints are written.
        words: Labels of which a random model of a size shall have every word as one token.
        device: Where the weights of such a model are drawn; None for the CPU.

    Raises:
        UnknownNameError: There is no such size.
    """
    if model in RECIPES:
        directory = str(small_checkpoint(model, folder / model))
        return Located(directory, directory, random=True)
    if model.startswith(RANDOM):
        size = model.removeprefix(RANDOM)
        if Path(size).is_dir():
            return Located(size, size, random=True)
        if size not in SIZES:
            raise UnknownNameError("random model", size, SIZES)
        # Words stand at the start of a line and after a blank.
        texts = [
            *words,
            *(f" {word}" for word in words),
            default_prompt().render([Label("label")]),
            "user\nassistant\n",
        ]
        directory = str(sized_checkpoint(size, folder / size, words=texts, device=device or "cpu"))
        return Located(directory, directory, random=True)
    return Located(model, source_of(model, builder))


def source_of(model: str, builder: Builder) -> str | None:
    """Return where the checkpoint of a model lies, a directory or a hub id; None for an adapter that has none.

    Args:
        model: As for ``vlmkit run``.
        builder: Knows the adapters.
    """
    name = model.partition(":")[0]
    entry = next((entry for entry in builder.registry.entries("adapter") if entry.name == name), None)
    if entry is None:
        directory = os.path.expanduser(model)
        return directory if os.path.isdir(directory) else model
    # An adapter with a model of its own says where it lies.
    own = getattr(import_module(entry.target.partition(":")[0]), "CHECKPOINT", None)
    found = dict(Spec.parse(model).options).get("model") or own
    return None if found is None else str(found)
