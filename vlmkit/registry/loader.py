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
from vlmkit.registry.trace import Trace

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
        modules: Modules that were loaded besides.

    It pickles as what was asked for: the process that unpickles it loads what is installed there.
    """

    plugins: tuple[Plugin, ...]
    registry: Registry
    manager: pluggy.PluginManager = field(repr=False)
    blocked: frozenset[str] = frozenset()
    modules: tuple[str, ...] = ()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(PluginHost.load, blocked=self.blocked, modules=self.modules), ()

    @classmethod
    def load(
        cls,
        *,
        blocked: Iterable[str] = (),
        modules: Iterable[str] = (),
        found: Iterable[EntryPoint] | None = None,
        trace: Trace | None = None,
    ) -> PluginHost:
        """Load every installed plugin.

        Args:
            blocked: Names of entry points to leave out (``--no-plugin``).
            modules: Modules to load as plugins of their own names, after all others (``--load-plugin``).
            found: Entry points to load instead of the installed ones.
            trace: Told of what is loaded and of every hook call from then on (``--trace-plugins``).

        Raises:
            UnknownNameError: A blocked name is not installed.
            PluginError: One of ``modules`` is broken: it was asked for, so nothing goes on without it.
        """
        trace = trace or Trace()
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
        trace.watch(manager)
        registry = Registry()
        plugins: list[Plugin] = []
        for point in points:
            if point.name in blocked:
                trace.left_out(point)
            else:
                plugins.append(_load(point, plugins, manager, registry, trace))
        modules = tuple(dict.fromkeys(modules))
        for module in modules:
            asked_for = _load(EntryPoint(module, module, GROUP), plugins, manager, registry, trace)
            if asked_for.error is not None:
                raise asked_for.error
            plugins.append(asked_for)
        return cls(tuple(plugins), registry, manager, blocked, modules)

    @property
    def failures(self) -> tuple[Plugin, ...]:
        """The broken plugins."""
        return tuple(plugin for plugin in self.plugins if plugin.error is not None)


def call_one(manager: pluggy.PluginManager, plugin: object, hook: str, **given: Any) -> None:
    """Call a hook of one plugin alone; whatever it raises comes out."""
    others = [other for other in manager.get_plugins() if other is not plugin]
    manager.subset_hook_caller(hook, others)(**given)


def _distribution(point: EntryPoint) -> tuple[str, str]:
    return (point.dist.name, point.dist.version) if point.dist is not None else ("no distribution", "?")


def _load(
    point: EntryPoint, before: list[Plugin], manager: pluggy.PluginManager, registry: Registry, trace: Trace
) -> Plugin:
    name, version = _distribution(point)
    plugin = Plugin(point.name, name, version)
    trace.loading(point, f"{name} {version}")
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
                call_one(manager, registered, "vlmkit_register", registry=registry.owned_by(plugin.owner))
        callers = manager.get_hookcallers(registered) or []
        return evolve(plugin, hooks=tuple(sorted(caller.name for caller in callers)))
    except (Exception, SystemExit) as error:  # a module may be a script that exits
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        registry.remove_owner(plugin.owner)
        trace.broken(point, error)
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
