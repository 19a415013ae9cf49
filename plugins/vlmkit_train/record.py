"""What a training run writes beside its LoRA: what it was trained on and how far it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vlmkit.errors import RunDirectoryError
from vlmkit.local.checkpoint import Checkpoint
from vlmkit.local.lora import RECORD
from vlmkit.runs.convert import dumps, to_json
from vlmkit.runs.files import write_atomically
from vlmkit.runs.fingerprint import differences
from vlmkit.runs.manifest import versions
from vlmkit_train.conversations import Conversations
from vlmkit_train.settings import Settings

CHECKPOINTS = "checkpoints"
"""Folder for what an interrupted run goes on from; gone when it has finished."""

_COMPARED = ("model", "data", "settings")
"""What must not differ when a run goes on."""


def started(checkpoint: Checkpoint, name: str, data: Conversations, settings: Settings) -> dict[str, Any]:
    """Return the record of a run that starts now.

    Args:
        checkpoint: The base model.
        name: What the user called it.
        data: What it is trained on.
        settings: How.
    """
    identity = dict(checkpoint.identity)
    device = identity.pop("device")
    return {
        "status": "running",
        "model": {**identity, "model": name if identity["weights"] is None else Path(name).name},
        "data": {"name": data.path.name, "sha256": data.digest, "conversations": len(data)},
        "settings": to_json(settings),
        "device": device,
        "versions": {**versions(), **{package: version(package) for package in ("peft", "accelerate")}},
    }


def earlier(output: Path, now: Mapping[str, Any], *, resume: bool) -> dict[str, Any] | None:
    """Return the record of the run in a directory, or None where there is none that could go on.

    Raises:
        RunDirectoryError: There is one, and it shall not go on or has other settings, which are named.
    """
    path = output / RECORD
    if not path.exists():
        if output.is_dir() and any(output.iterdir()):
            raise RunDirectoryError(f"{output} is not empty and holds no training", hint="give another --output")
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        before = {key: found[key] for key in _COMPARED}
        finished = found["status"] == "finished"
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunDirectoryError(f"{path} is damaged ({error})", hint="give another --output") from error
    if not finished and last_checkpoint(output) is None:
        return None  # it failed or was stopped before there was anything to lose
    if not resume:
        raise RunDirectoryError(f"{output} holds a training already", hint="add --resume, or give another --output")
    unlike = list(differences(before, json.loads(dumps({key: now[key] for key in _COMPARED}))))
    if unlike:
        raise RunDirectoryError(
            f"{output} holds a training with other settings: {'; '.join(unlike)}",
            hint="give the same ones, or another --output",
        )
    return found


def last_checkpoint(output: Path) -> Path | None:
    """Return the last checkpoint that was written to its end, which is when the Trainer's state comes."""
    whole = [path.parent for path in (output / CHECKPOINTS).glob("checkpoint-*/trainer_state.json")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def write(output: Path, record: Mapping[str, Any]) -> None:
    """Write the record.

    Raises:
        RunDirectoryError: It cannot be written.
    """
    write_atomically(output / RECORD, [dumps(record, indent=1), b"\n"])
