"""A local model that stays loaded while everything that its backend remembers of images is forgotten."""

from __future__ import annotations

from attrs import evolve

from vlmkit.contracts import Backend
from vlmkit.forking import ForkingBackend
from vlmkit.tokentree import TokenTreeBackend


def resident(backend: Backend) -> Backend:
    """Load a local model, and return a backend that keeps it when it forgets; a server has its own."""
    if isinstance(backend, TokenTreeBackend):
        family = backend.load()
        return evolve(backend, load=lambda: family)
    if isinstance(backend, ForkingBackend):
        model = backend.load()
        return evolve(backend, load=lambda: model)
    return backend


def forget(backend: Backend) -> None:
    """Make a backend that is ``resident`` forget all images, where its model is local."""
    if isinstance(backend, TokenTreeBackend | ForkingBackend):
        backend.close()
