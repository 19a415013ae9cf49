"""What became of an example, made fit to be pickled and sent to another process."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from attrs import evolve

from vlmkit.engine.job import Solved
from vlmkit.errors import BackendError, VlmkitError
from vlmkit.types import Answer, Failed, ImageUrl


def portable(solved: Solved) -> Solved:
    """Return the same with an error that can be pickled, and without the example's pictures in memory.

    Paths and addresses of pictures stay. An error that does not survive a pickle is replaced by one of the same name
    and message.
    """
    images = tuple(source for source in solved.example.images if isinstance(source, Path | ImageUrl))
    error = None if solved.error is None else _portable_error(solved.error)
    exchanges = tuple(evolve(one, answer=_portable_answer(one.answer)) for one in solved.exchanges)
    return evolve(solved, example=evolve(solved.example, images=images), error=error, exchanges=exchanges)


def _portable_answer(answer: Answer) -> Answer:
    return evolve(answer, error=_portable_error(answer.error)) if isinstance(answer, Failed) else answer


def _portable_error(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # its class may be anybody's
        base = BackendError if isinstance(error, BackendError) else VlmkitError
        return _stand_in(type(error).__name__, str(error), base)
    return error


def _stand_in(name: str, message: str, base: type[VlmkitError]) -> VlmkitError:
    def reduce(self: VlmkitError) -> tuple[Any, ...]:
        return _stand_in, (name, message, base)

    kind: type[VlmkitError] = type(name, (base,), {"__reduce__": reduce})
    return kind(message)
