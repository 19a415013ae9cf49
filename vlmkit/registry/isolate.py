"""Calling one hook of every plugin so that none can hurt the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit.errors import PluginError
from vlmkit.registry.loader import PluginHost, call_one


def call_each(host: PluginHost, hook: str, **given: Any) -> Mapping[str, PluginError]:
    """Call a hook of every plugin, last registered first; a plugin that raises does not stop the others.

    Returns:
        What went wrong, by the entry-point name of the plugin.
    """
    owners = {plugin.name: plugin.owner for plugin in host.plugins}
    failures: dict[str, PluginError] = {}
    for implementation in reversed(getattr(host.manager.hook, hook).get_hookimpls()):
        name = implementation.plugin_name
        try:
            call_one(host.manager, implementation.plugin, hook, **given)
        except Exception as error:
            failures[name] = PluginError(
                owners.get(name, name),
                f"{hook} raised {type(error).__name__}: {error}",
                hint=f"switch it off with --no-plugin {name}",
            )
    return failures
