"""The table of everything that plugins offer. Filling it imports nothing heavy."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, get_args

from attrs import field, frozen
from attrs.validators import in_

from vlmkit.errors import PluginConflictError, PluginError, UnknownNameError
from vlmkit.types.capability import Capability
from vlmkit.types.tuples import as_tuple

KINDS = ("adapter", "strategy", "aggregator", "intervention", "dataset", "benchmark", "engine")
"""The kinds of things that a plugin can register."""

Branching = Literal["token-tree", "forked-cache", "server", "none", "unknown"]
"""How an adapter puts many questions about one picture: all in one forward, each on a copy of the picture's cache, each
as a request to a server that caches, or each from the beginning."""


def _capabilities(names: Iterable[str]) -> frozenset[Capability]:
    return frozenset(map(Capability, names))


@frozen
class Entry:
    """One registered thing.

    Args:
        kind: One of ``KINDS``.
        name: The name in specs.
        target: ``"package.module:attribute"``, imported at first use.
        summary: One line for ``vlmkit ls``.
        source: Paper or page that the thing implements.
        owner: Plugin that registered it, with its distribution.
        wraps: For strategies: whether it wraps another one (its factory takes ``inner``).
        model_types: For adapters: the checkpoint ``model_type`` values that it loads; ``*`` for all others.
        capabilities: For adapters: what their backends can do; empty where the plugin does not say.
        branching: For adapters: how they put many questions about one picture.
        extra: For adapters: the extra of the plugin's distribution that they need, as in ``pip install NAME[EXTRA]``.
        shorthand: For data sets: options that may be given by place alone, as in ``hf:NAME:SPLIT``.
    """

    kind: str
    name: str
    target: str
    summary: str
    source: str = ""
    owner: str = ""
    wraps: bool = False
    model_types: tuple[str, ...] = field(default=(), converter=as_tuple)
    capabilities: frozenset[Capability] = field(default=frozenset(), converter=_capabilities)
    branching: Branching = field(default="unknown", validator=in_(get_args(Branching)))
    extra: str = ""
    shorthand: tuple[str, ...] = field(default=(), converter=as_tuple)

    def load(self) -> Callable[..., Any]:
        """Import the factory.

        Raises:
            PluginError: It cannot be imported.
        """
        module, _, attribute = self.target.partition(":")
        try:
            loaded: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                self.owner or self.target,
                f"{self.kind} {self.name} cannot be imported from {self.target} ({type(error).__name__}: {error})",
                hint="reinstall the plugin or switch it off with --no-plugin",
            ) from error
        return loaded


@frozen
class Registry:
    """What plugins offer, by kind and name. An object, not a module global: a test makes its own.

    Args:
        owner: Who is registering; the loader hands every plugin a view with its own name.
    """

    owner: str = ""
    _entries: dict[tuple[str, str], Entry] = field(factory=dict, repr=False)

    def owned_by(self, owner: str) -> Registry:
        """Return a view on the same table that signs new entries with ``owner``."""
        return Registry(owner, self._entries)

    def add(self, entry: Entry) -> None:
        """Add an entry.

        Raises:
            PluginConflictError: Another plugin has taken the name; both owners are named.
        """
        key = (entry.kind, entry.name)
        taken = self._entries.get(key)
        if taken is not None and taken != entry:
            raise PluginConflictError(
                entry.owner,
                f"{entry.kind} {entry.name!r} is already registered by {taken.owner}",
                hint=f"switch one off: --no-plugin {entry.owner.split(' ')[0]}",
            )
        self._entries[key] = entry

    def remove_owner(self, owner: str) -> None:
        """Drop everything that ``owner`` registered."""
        for key in [key for key, entry in self._entries.items() if entry.owner == owner]:
            del self._entries[key]

    def adapter(
        self,
        name: str,
        target: str,
        *,
        summary: str,
        source: str = "",
        model_types: tuple[str, ...] = (),
        capabilities: Iterable[str] = (),
        branching: Branching = "unknown",
        extra: str = "",
    ) -> None:
        """Register a backend factory, the checkpoint types that it loads, and what ``ls`` and ``doctor`` say of it.

        Raises:
            ValueError: A capability or the branching is none that there is.
        """
        self.add(
            Entry(
                "adapter",
                name,
                target,
                summary,
                source,
                self.owner,
                model_types=model_types,
                capabilities=capabilities,
                branching=branching,
                extra=extra,
            )
        )

    def strategy(self, name: str, target: str, *, summary: str, source: str = "", wraps: bool = False) -> None:
        """Register a strategy factory; ``wraps=True`` if it takes an ``inner`` strategy."""
        self.add(Entry("strategy", name, target, summary, source, self.owner, wraps=wraps))

    def aggregator(self, name: str, target: str, *, summary: str, source: str = "") -> None:
        """Register an aggregator factory."""
        self.add(Entry("aggregator", name, target, summary, source, self.owner))

    def intervention(self, name: str, target: str, *, summary: str, source: str = "") -> None:
        """Register an intervention factory."""
        self.add(Entry("intervention", name, target, summary, source, self.owner))

    def dataset(
        self, name: str, target: str, *, summary: str, source: str = "", shorthand: tuple[str, ...] = ()
    ) -> None:
        """Register a data set factory, and the options that may be given by place alone."""
        self.add(Entry("dataset", name, target, summary, source, self.owner, shorthand=shorthand))

    def benchmark(self, name: str, target: str, *, summary: str, source: str = "") -> None:
        """Register a benchmark factory."""
        self.add(Entry("benchmark", name, target, summary, source, self.owner))

    def engine(self, name: str, target: str, *, summary: str, source: str = "") -> None:
        """Register the factory of a ``vlmkit.engine.RunEngine``."""
        self.add(Entry("engine", name, target, summary, source, self.owner))

    def entries(self, kind: str) -> Iterator[Entry]:
        """Iterate over the entries of one kind, by name."""
        return iter(sorted((e for e in self._entries.values() if e.kind == kind), key=lambda e: e.name))

    def get(self, kind: str, name: str) -> Entry:
        """Return the entry of that kind and name.

        Raises:
            UnknownNameError: Nothing of that kind has that name; near matches are in the hint.
        """
        entry = self._entries.get((kind, name))
        if entry is None:
            raise UnknownNameError(kind, name, (e.name for e in self.entries(kind)))
        return entry

    def adapter_for(self, model_type: str) -> Entry | None:
        """Return the adapter that loads checkpoints of ``model_type``, else the one that loads any (``*``), or None."""
        adapters = list(self.entries("adapter"))
        return next((e for wanted in (model_type, "*") for e in adapters if wanted in e.model_types), None)
