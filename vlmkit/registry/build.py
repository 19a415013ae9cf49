"""From specs to objects: options are checked against the factory's signature and converted by its annotations."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from attrs import frozen

from vlmkit.contracts import Aggregator, Dataset, Strategy
from vlmkit.errors import PluginError, SpecError, UnknownNameError, first_line
from vlmkit.registry.registry import Entry, Registry
from vlmkit.registry.source import dataset_spec, taxonomy_spec
from vlmkit.registry.spec import Chain, Spec
from vlmkit.types import Letter, Likelihood, Readout, Reply, Taxonomy

READOUTS: Mapping[str, type[Readout]] = types.MappingProxyType(
    {"likelihood": Likelihood, "letter": Letter, "text": Reply}
)
"""The readouts by the names used in specs."""

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@frozen
class Builder:
    """Builds registered things from specs.

    Args:
        registry: Where names are looked up.
    """

    registry: Registry

    def strategy(self, spec: str | Strategy) -> Strategy:
        """Build a strategy; a wrapper alone wraps ``flat``.

        Raises:
            SpecError: The spec breaks the grammar, or an option or value does not fit.
            UnknownNameError: A name is not registered.
        """
        if inspect.isclass(spec):
            raise SpecError(f"strategy {spec.__name__} is a class", hint=f"give an instance: {spec.__name__}(...)")
        if not isinstance(spec, str):
            return spec
        *wrappers, innermost = Chain.parse(spec).specs
        if self.registry.get("strategy", innermost.name).wraps:
            wrappers, innermost = [*wrappers, innermost], Spec("flat")
        strategy: Strategy = self._create("strategy", innermost)
        for wrapper in reversed(wrappers):
            if not self.registry.get("strategy", wrapper.name).wraps:
                known = [entry.name for entry in self.registry.entries("strategy") if entry.wraps]
                raise SpecError(
                    f"strategy {wrapper.name!r} in {spec!r} wraps nothing",
                    hint=f"only these can stand left of '+': {', '.join(known)}",
                )
            strategy = self._create("strategy", wrapper, inner=strategy)
        return strategy

    def aggregator(self, spec: str) -> Aggregator:
        """Build an aggregator.

        Raises:
            SpecError: The spec breaks the grammar, or an option or value does not fit.
            UnknownNameError: No such aggregator is registered.
        """
        aggregator: Aggregator = self._create("aggregator", Spec.parse(spec))
        return aggregator

    def dataset(self, spec: Spec, *, image_root: Path | None = None) -> Dataset:
        """Build a data set.

        Args:
            spec: Its name and options.
            image_root: The folder that it may name pictures in.

        Raises:
            SpecError: It has no such option, or an option or value does not fit.
        """
        dataset: Dataset = self.entry(self.registry.get("dataset", spec.name), spec, image_root=image_root)
        return dataset

    def engine(self, spec: str, **given: Any) -> Any:
        """Build a ``vlmkit.engine.RunEngine``; ``given`` are options from elsewhere, None where there are none.

        Raises:
            SpecError: The spec breaks the grammar, or an option or value does not fit.
            UnknownNameError: No such engine is registered.
        """
        parsed = Spec.parse(spec)
        return self.entry(self.registry.get("engine", parsed.name), parsed, **given)

    def taxonomy(self, text: str) -> Taxonomy:
        """Read the taxonomy that a path, or a format with options such as ``parents:path=FILE``, stands for.

        Raises:
            TaxonomyError: Nothing is there, or it is no tree.
            SpecError: An option or value does not fit.
        """
        from vlmkit.taxonomy import FORMATS  # only now: --help stays quick

        spec = taxonomy_spec(text)
        taxonomy: Taxonomy = self._call(FORMATS[spec.name].read, spec, what="taxonomy", given={})
        return taxonomy

    def readout(self, spec: str) -> Readout:
        """Build a readout from ``likelihood``, ``letter`` or ``text`` with options.

        Raises:
            SpecError: The spec breaks the grammar, or an option or value does not fit.
            UnknownNameError: There is no such readout.
        """
        parsed = Spec.parse(spec)
        if parsed.name not in READOUTS:
            raise UnknownNameError("readout", parsed.name, READOUTS)
        readout: Readout = self._call(READOUTS[parsed.name], parsed, what="readout", given={})
        return readout

    def entry(self, entry: Entry, spec: Spec, **given: Any) -> Any:
        """Build the thing of an entry; ``given`` are ready values that override nothing in the spec.

        Raises:
            SpecError: The factory does not take a given value that is neither None nor False.
        """
        factory = entry.load()
        accepted = inspect.signature(factory).parameters
        strange = [name for name, value in given.items() if value not in (None, False) and name not in accepted]
        if strange:
            name = strange[0].replace("_", "-")
            raise SpecError(f"{entry.kind} {entry.name} has no option {name}", hint=f"leave {name} out")
        ready = {name: value for name, value in given.items() if value is not None and name in accepted}
        return self._call(factory, spec, what=entry.kind, given=ready)

    def options(self, entry: Entry) -> dict[str, inspect.Parameter]:
        """Return the options that an entry's factory takes, by name."""
        return {
            name: parameter
            for name, parameter in inspect.signature(entry.load()).parameters.items()
            if name != "inner" and parameter.kind is not inspect.Parameter.VAR_KEYWORD
        }

    def _create(self, kind: str, spec: Spec, **given: Any) -> Any:
        entry = self.registry.get(kind, spec.name)
        return self._call(entry.load(), spec, what=kind, given=given)

    def _call(self, factory: Callable[..., Any], spec: Spec, *, what: str, given: Mapping[str, Any]) -> Any:
        parameters = inspect.signature(factory).parameters
        try:
            hints = _hints(factory)
        except NameError as error:
            raise PluginError(
                f"of {what} {spec.name}",
                f"an annotation cannot be resolved ({error})",
                hint="import the types of options outside TYPE_CHECKING",
            ) from error
        values: dict[str, Any] = dict(given)
        for key, text in spec.options:
            if key not in parameters or key == "inner":
                known = [name.replace("_", "-") for name in parameters if name != "inner"]
                raise UnknownNameError("option", key.replace("_", "-"), known, where=f"{what} {spec.name}")
            try:
                values[key] = self._convert(text, hints.get(key, str))
            except (ValueError, TypeError) as error:
                raise SpecError(f"{what} {spec.name}: {key}={text} is no good", hint=str(error)) from error
        missing = [
            name
            for name, parameter in parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and name not in values
        ]
        if missing:
            raise SpecError(
                f"{what} {spec.name} needs {', '.join(missing)}", hint=f"write {spec.name}:{missing[0]}=..."
            )
        try:
            return factory(**values)
        except (ValueError, TypeError) as error:
            raise SpecError(f"{what} {spec}: {first_line(error)}", hint="give another value") from error

    def _convert(self, text: str, hint: Any) -> Any:
        """Convert an option's text to the annotated type.

        Raises:
            ValueError: The text is no value of that type; the message says what is.
        """
        if hint is Aggregator:
            return self.aggregator(text)
        if hint is Dataset:
            return self.dataset(dataset_spec(text, self.registry))
        if hint == Readout or hint in (Likelihood, Letter, Reply):
            return self.readout(text)
        origin = get_origin(hint)
        if origin in (Union, types.UnionType):
            return self._convert_union(text, get_args(hint))
        if origin is Literal:
            return _one_of(text, get_args(hint))
        if origin is tuple:
            return tuple(self._convert(part.strip(), get_args(hint)[0]) for part in text.split(","))
        if inspect.isclass(hint) and issubclass(hint, Enum):
            return hint(_one_of(text, [member.value for member in hint]))
        if hint is bool:
            if text.lower() not in _TRUE + _FALSE:
                raise ValueError("expected true or false")
            return text.lower() in _TRUE
        if hint in (int, float):
            try:
                return hint(text)
            except ValueError:
                raise ValueError(f"expected {'a whole number' if hint is int else 'a number'}") from None
        return Path(text) if hint is Path else text

    def _convert_union(self, text: str, hints: tuple[Any, ...]) -> Any:
        if type(None) in hints and text.lower() == "none":
            return None
        reason = ValueError("no value of that kind")
        for hint in sorted((h for h in hints if h is not type(None)), key=lambda h: h is str):
            try:
                return self._convert(text, hint)
            except ValueError as error:
                reason = error
        raise reason


def _hints(factory: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a factory's parameters; those that a class inherits speak of its base's module."""
    if not inspect.isclass(factory):
        return typing.get_type_hints(factory)
    modules = [sys.modules[base.__module__] for base in reversed(factory.__mro__)]
    names = {name: value for module in modules for name, value in vars(module).items()}
    return typing.get_type_hints(factory.__init__, localns=names)


def _one_of(text: str, known: typing.Iterable[Any]) -> Any:
    for value in known:
        if str(value) == text:
            return value
    raise ValueError(f"expected one of {', '.join(map(str, known))}")
