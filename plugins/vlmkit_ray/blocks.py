"""Blocks of pickled values, as Ray Data hands them round, and the examples that wait for an answer in them."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Self

import pyarrow as pa
import ray
from attrs import frozen

from vlmkit import Example

_COLUMN = "pickled"


def pack(values: Iterable[Any]) -> pa.Table:
    """Return a block of values."""
    return pa.table({_COLUMN: pa.array(map(pickle.dumps, values), pa.binary())})


def unpack(block: pa.Table) -> Iterator[Any]:
    """Yield the values of a block."""
    return map(pickle.loads, block[_COLUMN].to_pylist())


@frozen
class Waiting:
    """Examples in the object store of the cluster that have no answer yet.

    Args:
        block_of: Their blocks, by their ids.
    """

    block_of: dict[str, ray.ObjectRef[pa.Table]]

    @classmethod
    def of(cls, examples: Iterable[Example], size: int) -> Self:
        """Store examples in blocks of ``size``."""
        rest, block_of = iter(examples), {}
        while chunk := list(islice(rest, size)):
            block_of.update(dict.fromkeys((example.id for example in chunk), ray.put(pack(chunk))))
        return cls(block_of)

    @property
    def blocks(self) -> list[ray.ObjectRef[pa.Table]]:
        """The blocks that hold any of them, in order."""
        return list(dict.fromkeys(self.block_of.values()))

    def __len__(self) -> int:
        return len(self.block_of)

    def __iter__(self) -> Iterator[Example]:
        for block in self.blocks:
            yield from (example for example in unpack(ray.get(block)) if example.id in self.block_of)

    def take(self, example: Example) -> bool:
        """Let an example wait no longer; return whether it did."""
        return self.block_of.pop(example.id, None) is not None
