"""What ``vlmkit doctor`` looks at in an installation. A check is a value: what was looked at, what was found."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from attrs import frozen

from vlmkit.errors import VlmkitError
from vlmkit.registry import Entry, PluginHost
from vlmkit.registry.needs import needs

State = Literal["ok", "missing", "broken"]
"""Fine, absent though all else works without it, or in need of mending."""

_ON_TRANSFORMERS = ("token-tree", "forked-cache")
"""How adapters branch that run checkpoints with transformers, in this process."""


@frozen
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        state: How it is.
        found: What was found.
        mend: What to do about it, mostly a command; empty where there is nothing to do.
    """

    name: str
    state: State
    found: str
    mend: str = ""


def guarded(name: str, look: Callable[[], str], *, otherwise: State = "broken") -> Check:
    """Report whatever goes wrong as a finding: that is what the command is for."""
    try:
        return Check(name, "ok", look())
    except VlmkitError as error:
        return Check(name, otherwise, error.message, error.hint)
    except Exception as error:
        return Check(name, otherwise, f"{type(error).__name__}: {error}")


def packages() -> Iterator[Check]:
    """Look at Python, vlmkit, and every package that it needs."""
    yield Check("python", "ok", platform.python_version())
    yield Check("vlmkit", "ok", version("vlmkit"))
    for need in needs("vlmkit"):
        mend = "" if need.met else f'pip install "{need.requirement}"'
        yield Check(need.name, "ok" if need.met else "broken", need.installed or "not installed", mend)


def machine() -> Iterator[Check]:
    """Look at devices and disk."""
    yield guarded("devices", _devices)
    free = shutil.disk_usage(Path.cwd()).free
    yield Check("free disk", "ok" if free > 2**27 else "broken", f"{free / 2**30:.1f} GiB in {Path.cwd()}")


def adapters(plugins: PluginHost) -> Iterator[Check]:
    """Look at what each adapter needs, and whether it can be imported."""
    distributions = {plugin.owner: plugin.distribution for plugin in plugins.plugins}
    for entry in plugins.registry.entries("adapter"):
        yield _adapter(entry, distributions.get(entry.owner, ""))


def _devices() -> str:
    import torch

    threads = f"cpu with {torch.get_num_threads()} threads"
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return ", ".join([*(f"{card.name} with {card.total_memory / 2**30:.0f} GiB" for card in cards), threads])


def _adapter(entry: Entry, distribution: str) -> Check:
    name = f"adapter {entry.name}"
    lacking = [need for need in needs(distribution) if not need.met]
    if lacking:
        packages = " ".join(f'"{need.requirement}"' for need in lacking)
        return Check(name, "broken", f"needs {', '.join(map(str, lacking))}", f"pip install {packages}")
    lacking = [need for need in needs(distribution, entry.extra) if not need.met] if entry.extra else []
    if lacking:
        command = f'pip install "{distribution}[{entry.extra}]"'
        return Check(name, "missing", f"needs {', '.join(map(str, lacking))}", command)
    unknown = _unknown_types(entry.model_types) if entry.branching in _ON_TRANSFORMERS else []
    if unknown:
        found = f"transformers {version('transformers')} does not know {', '.join(unknown)}"
        return Check(name, "missing", found, "pip install --upgrade transformers")

    def import_it() -> str:
        entry.load()
        return entry.summary

    return guarded(name, import_it)


def _unknown_types(model_types: Sequence[str]) -> list[str]:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return [kind for kind in model_types if kind != "*" and kind not in CONFIG_MAPPING_NAMES]
