"""What is installed: discovery of plugins, the table of what they offer, and specs that name it."""

from vlmkit.registry.build import Builder
from vlmkit.registry.hooks import hookimpl, hookspec
from vlmkit.registry.loader import Plugin, PluginHost
from vlmkit.registry.registry import KINDS, Entry, Registry
from vlmkit.registry.spec import Chain, Spec

__all__ = ["KINDS", "Builder", "Chain", "Entry", "Plugin", "PluginHost", "Registry", "Spec", "hookimpl", "hookspec"]
