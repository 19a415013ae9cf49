"""Blocks of pickled values, as Ray Data hands them round, and the examples in them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
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


def store(examples: Iterable[Example], size: int) -> dict[str, ray.ObjectRef]:
    """Put examples in the object store, in blocks of ``size``; return a reference to the block of each, by its id."""
    rest, stored = iter(examples), {}
    while chunk := list(islice(rest, size)):
        stored.update(dict.fromkeys((example.id for example in chunk), ray.put(pack(chunk))))
    return stored


def fetch(stored: Mapping[str, ray.ObjectRef]) -> Iterator[Example]:
    """Yield those examples of stored blocks whose ids are given."""
    for block in dict.fromkeys(stored.values()):
        yield from (example for name, example in contents(block).items() if name in stored)


def contents(block: ray.ObjectRef) -> dict[str, Example]:
    """Return the examples of a stored block by their ids."""
    return {example.id: example for example in unpack(ray.get(block))}
