"""Every error that vlmkit raises on purpose.

VlmkitError
├── UserError                 the request is wrong: one line, exit code 2, no traceback
│   ├── SpecError             a spec such as ``dci:group_size=20`` cannot be read or built
│   ├── UnknownNameError      nothing of that name is registered
│   ├── LabelError            a label list breaks the rules of a label space
│   ├── TaxonomyError         a taxonomy is no tree, or does not fit the labels
│   ├── PromptError           a prompt file is not a usable template
│   ├── DataError             a data set, folder or manifest cannot be used
│   ├── ModelError            a model cannot be loaded
│   ├── ServerError           a server is out of reach, or refuses us as a whole
│   ├── CapabilityError       the backend cannot do what the strategy asks for
│   ├── SystematicError       example after example fails in the same way
│   ├── RunDirectoryError     a run directory is not writable, is in use, or belongs to another configuration
│   └── CacheError            an answer cache cannot be used, is damaged, or is something else
├── PluginError               a plugin is broken; kept and shown, never fatal by itself
│   └── PluginConflictError   two plugins claim one name
├── ImageError                one picture cannot be decoded; its example fails, the run goes on
├── StrategyError             a strategy broke its own contract
└── BackendError              a backend could not answer

An error is *systematic* if it awaits every example alike. That is what ``UserError`` means to a run, which ends at once
and begins nothing more: a wrong key (401), a key without the right (403) or a model that is not there (404) as
``ServerError``, weights that cannot be loaded as ``ModelError``. Any other error fails its example alone and the run
goes on. What only shows by its repetition becomes a ``SystematicError``.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from attrs import Attribute

from vlmkit.redaction import redacted


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or the name of its class where it says nothing.

    An error of an attrs validator says a sentence, and carries the attribute and more behind it.
    """
    said = error.args[0] if any(isinstance(one, Attribute) for one in error.args) else error
    return (str(said).strip().splitlines() or [type(error).__name__])[0]


class VlmkitError(Exception):
    """Base of every vlmkit error: what is wrong, where, and a hint on what to do; both without secrets.

    Args:
        message: What is wrong and where, in one sentence without a full stop.
        hint: What to do about it, or an empty string.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = redacted(message)
        self.hint = redacted(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception pickles as a call with its message, and most classes here are made from something else.
        return type(self).__new__, (type(self), *self.args), self.__dict__


class UserError(VlmkitError):
    """The request is wrong and its author can mend it."""


class SpecError(UserError):
    """A spec cannot be read or built."""


class UnknownNameError(UserError):
    """Nothing of that name is known; the near matches are in the hint."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        known = sorted(known)
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known) or 'none'}"
        super().__init__(f"unknown {what} {name!r}{f' in {where}' if where else ''}", hint=hint)
        self.what, self.name, self.near = what, name, tuple(near)


class LabelError(UserError):
    """A label list breaks the rules of a label space."""


class TaxonomyError(UserError):
    """A taxonomy is no tree, its file cannot be read, or it does not fit the labels."""


class PromptError(UserError):
    """A prompt file is not a usable template."""


class DataError(UserError):
    """A data set, folder or manifest cannot be used."""


class ModelError(UserError):
    """A model cannot be loaded."""


class ServerError(UserError):
    """A server is out of reach, or refuses or lacks what every request needs."""


class CapabilityError(UserError):
    """The backend lacks a capability that the strategy requires."""

    def __init__(self, missing: Iterable[str], *, strategy: str, backend: str) -> None:
        names = ", ".join(sorted(missing))
        super().__init__(
            f"strategy {strategy} needs {names}, which {backend} cannot do",
            hint="choose another readout or model (vlmkit ls adapters)",
        )


class SystematicError(UserError):
    """Example after example fails in the same way, and more have failed than may.

    Args:
        failures: How many did, one after the other.
        last: What the last one failed with.
    """

    def __init__(self, failures: int, last: Exception) -> None:
        super().__init__(
            f"{failures} examples failed in a row, the last one with: {last or type(last).__name__}",
            hint="see to the cause; the same command goes on from here, and --fail-on-error allows more",
        )
        self.failures = failures


class RunDirectoryError(UserError):
    """A run directory cannot be used for this run."""


class CacheError(UserError):
    """An answer cache cannot be used, is damaged, or is something else."""


class PluginError(VlmkitError):
    """A plugin is broken; ``plugin`` names whose it is."""

    def __init__(self, plugin: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"plugin {plugin}: {message}", hint=hint)
        self.plugin = plugin


class PluginConflictError(PluginError):
    """Two plugins claim one name."""


class ImageError(VlmkitError):
    """One picture cannot be decoded; ``source`` names it."""

    def __init__(self, source: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"image {source}: {message}", hint=hint)
        self.source = source


class StrategyError(VlmkitError):
    """A strategy broke its own contract."""


class BackendError(VlmkitError):
    """A backend could not answer."""
