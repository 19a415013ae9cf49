"""Blocks of pickled values, as Ray Data hands them round, and the examples in them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa
import ray

from vlmkit import Example

_COLUMN = "pickled"


def pack(values: Iterable[Any]) -> pa.Table:
    """Return a block of values."""
    return pa.table({_COLUMN: pa.array(map(pickle.dumps, values), pa.binary())})


def unpack(block: pa.Table) -> Iterator[Any]:
    """Yield the values of a block."""
    return map(pickle.loads, block[_COLUMN].to_pylist())


@contextmanager
def stored(examples: Iterable[Example], size: int) -> Iterator[dict[str, ray.ObjectRef]]:
    """Hold examples in the object store, in blocks of ``size``: a reference to the block of each, by its id."""
    rest, blocks = iter(examples), {}
    try:
        while chunk := list(islice(rest, size)):
            blocks.update(dict.fromkeys((example.id for example in chunk), ray.put(pack(chunk))))
        yield blocks
    finally:
        blocks.clear()  # an error may hold on to this; to the next cluster the references would mean something else


def fetch(blocks: Mapping[str, ray.ObjectRef]) -> Iterator[Example]:
    """Yield those examples of stored blocks whose ids are given."""
    for block in dict.fromkeys(blocks.values()):
        yield from (example for name, example in contents(block).items() if name in blocks)


def contents(block: ray.ObjectRef) -> dict[str, Example]:
    """Return the examples of a stored block by their ids."""
    return {example.id: example for example in unpack(ray.get(block))}
