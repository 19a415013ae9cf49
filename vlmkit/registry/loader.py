"""Discovery: every entry point of the group ``vlmkit`` loads in isolation; what is broken is kept and shown.

The loop is ours because pluggy's own drops same-named entry points without a word and lets the first broken plugin
abort all others.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy
from attrs import evolve, field, frozen

from vlmkit.errors import PluginConflictError, PluginError, UnknownNameError
from vlmkit.registry import hooks
from vlmkit.registry.registry import Registry

GROUP = "vlmkit"
"""The entry-point group, for built-in and third-party plugins alike."""


@frozen
class Plugin:
    """One entry point and what became of it.

    Args:
        name: Name of the entry point.
        distribution: Installed distribution that it belongs to.
        version: Version of that distribution.
        hooks: Hooks that it implements; empty if it failed.
        error: What is wrong with it, or None.
    """

    name: str
    distribution: str
    version: str
    hooks: tuple[str, ...] = ()
    error: PluginError | None = None

    @property
    def owner(self) -> str:
        """The plugin with its distribution, as errors and ``vlmkit ls`` name it."""
        return f"{self.name} ({self.distribution} {self.version})"


@frozen
class PluginHost:
    """The loaded plugins, the registry that they filled, and their hooks.

    Args:
        plugins: Every entry point found, sound or broken, the built-in ones first, by name.
        registry: What the sound ones registered.
        manager: The pluggy manager; ``host.manager.hook`` calls hooks.
        blocked: Names of entry points that were left out.

    It pickles as what was blocked: the process that unpickles it loads what is installed there.
    """

    plugins: tuple[Plugin, ...]
    registry: Registry
    manager: pluggy.PluginManager = field(repr=False)
    blocked: frozenset[str] = frozenset()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(PluginHost.load, blocked=self.blocked), ()

    @classmethod
    def load(cls, *, blocked: Iterable[str] = (), found: Iterable[EntryPoint] | None = None) -> PluginHost:
        """Load every installed plugin.

        Args:
            blocked: Names of entry points to leave out (``--no-plugin``).
            found: Entry points to load instead of the installed ones.

        Raises:
            UnknownNameError: A blocked name is not installed.
        """
        points = sorted(
            entry_points(group=GROUP) if found is None else found,
            # The built-in ones first: whoever takes one of their names is left out, not they.
            key=lambda point: (_distribution(point)[0] != "vlmkit", point.name, _distribution(point)[0]),
        )
        blocked = frozenset(blocked)
        for name in blocked - {point.name for point in points}:
            raise UnknownNameError("plugin", name, {point.name for point in points})
        manager = pluggy.PluginManager("vlmkit")
        manager.add_hookspecs(hooks)
        registry = Registry()
        plugins: list[Plugin] = []
        for point in points:
            if point.name not in blocked:
                plugins.append(_load(point, plugins, manager, registry))
        return cls(tuple(plugins), registry, manager, blocked)

    @property
    def failures(self) -> tuple[Plugin, ...]:
        """The broken plugins."""
        return tuple(plugin for plugin in self.plugins if plugin.error is not None)


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("no distribution", "?")


def _load(point: EntryPoint, before: list[Plugin], manager: pluggy.PluginManager, registry: Registry) -> Plugin:
    name, version = _distribution(point)
    plugin = Plugin(point.name, name, version)
    twin = next((other for other in before if other.name == point.name), None)
    if twin is not None:
        conflict = PluginConflictError(
            plugin.owner, f"its entry point has the name of {twin.owner}", hint="rename one, or uninstall one"
        )
        return evolve(plugin, error=conflict)
    try:
        registered = point.load()
        manager.register(registered, name=point.name)
        _check_hooks(plugin, registered)
        for caller in manager.get_hookcallers(registered) or []:
            if caller.name == "vlmkit_register":
                manager.subset_hook_caller(
                    "vlmkit_register", [other for other in manager.get_plugins() if other is not registered]
                )(registry=registry.owned_by(plugin.owner))
        callers = manager.get_hookcallers(registered) or []
        return evolve(plugin, hooks=tuple(sorted(caller.name for caller in callers)))
    except (Exception, SystemExit) as error:  # a module may be a script that exits
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        registry.remove_owner(plugin.owner)
        if not isinstance(error, PluginError):
            error = PluginError(plugin.owner, f"{type(error).__name__}: {error}", hint="reinstall or uninstall it")
        return evolve(plugin, error=error)


def _check_hooks(plugin: Plugin, registered: object) -> None:
    """Refuse misspelt and unmarked hooks, which pluggy would ignore.

    Raises:
        PluginError: An implementation has the name of no hook, or a function of a hook's name is no implementation.
    """
    known = [name for name in vars(hooks) if name.startswith("vlmkit_")]
    for name, value in inspect.getmembers(registered):
        if hasattr(value, "vlmkit_impl") and name not in known:
            near = UnknownNameError("hook", name, known)
            raise PluginError(plugin.owner, near.message, hint=near.hint)
        if name in known and not hasattr(value, "vlmkit_impl"):
            raise PluginError(plugin.owner, f"{name} is not marked as a hook", hint="put @vlmkit.hookimpl above it")
