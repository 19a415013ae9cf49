"""What installed distributions need, and whether it is there: read off their metadata, which pip wrote."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires

from attrs import frozen
from packaging.requirements import Requirement

from vlmkit.installed import installed_version


@frozen
class Need:
    """One requirement of a distribution.

    Args:
        name: The package that it needs.
        requirement: The package with its versions, as pip takes it.
        installed: The installed version, or None.
        met: Whether that version will do.
    """

    name: str
    requirement: str
    installed: str | None
    met: bool

    def __str__(self) -> str:
        return f"{self.requirement} ({self.installed or 'not installed'})"


def needs(distribution: str, extra: str = "") -> Iterator[Need]:
    """Yield what a distribution needs, or what an extra of it needs beyond that; nothing if it is not installed."""
    try:
        lines = requires(distribution) or ()
    except PackageNotFoundError:
        return
    for requirement in map(Requirement, lines):
        marker = requirement.marker
        always = marker is None or marker.evaluate({"extra": ""})
        if always != bool(extra) and (marker is None or marker.evaluate({"extra": extra})):
            installed = installed_version(requirement.name)
            met = installed is not None and requirement.specifier.contains(installed, prereleases=True)
            yield Need(requirement.name, f"{requirement.name}{requirement.specifier}", installed, met)
