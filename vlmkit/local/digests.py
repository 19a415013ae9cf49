"""What tells two states of a checkpoint apart: digests of its weights, and of what lies beside them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from vlmkit.errors import ModelError, first_line

_ENDINGS = (".json", ".jinja", ".txt", ".model", ".py")
"""Endings of the files that answers depend on: chat template, tokenizer, processor, configuration, code."""


def weights_digest(directory: Path) -> str:
    """Return SHA-256, hexadecimal, over name, size, header and last MiB of every weight file.

    Not over all bytes: an 8-billion-parameter checkpoint would take a minute.

    Raises:
        ModelError: A weight file cannot be read, as where it is a link to what has gone from a cache.
    """
    sha = hashlib.sha256()
    try:
        for path in sorted(directory.glob("*.safetensors")):
            size = path.stat().st_size
            with path.open("rb") as file:
                header = file.read(8)
                header += file.read(min(size, int.from_bytes(header, "little")))
                file.seek(max(0, size - 2**20))
                sha.update(json.dumps([path.name, size]).encode() + header + file.read())
    except OSError as error:
        raise ModelError(
            f"the weights of model {directory} cannot be read: {error}", hint="download it again"
        ) from error
    return sha.hexdigest()


def beside_weights(model: str, revision: str | None = None) -> str | None:
    """Return a SHA-256 of the files in a directory, or the commit of a model on the hub; None where it has none.

    Args:
        model: Directory or hub id.
        revision: Hub revision.

    Raises:
        ModelError: The files cannot be read, or the hub cannot be asked.
    """
    directory = Path(model)
    try:
        return _digest(directory) if directory.is_dir() else _commit(model, revision)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the files of model {model} cannot be told: {first_line(error)}",
            hint="check the name and the network, or give the directory of a downloaded copy",
        ) from error


def _digest(directory: Path) -> str:
    sha = hashlib.sha256()
    for path in sorted(path for path in directory.iterdir() if path.suffix in _ENDINGS):
        content = path.read_bytes()
        sha.update(json.dumps([path.name, len(content)]).encode() + content)
    return sha.hexdigest()


def _commit(model: str, revision: str | None) -> str | None:
    from transformers.utils import cached_file, extract_commit_hash

    commit: str | None = extract_commit_hash(cached_file(model, "config.json", revision=revision), None)
    return commit
