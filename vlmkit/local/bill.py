"""Who pays for what."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define

from vlmkit.types import Usage


@define
class Bill:
    """What every query of one ``answer`` call cost.

    Args:
        usages: One usage a query.
    """

    usages: list[Usage]

    def add(self, query: int, usage: Usage) -> None:
        """Charge a query."""
        self.usages[query] += usage

    def forward(self, owners: Iterable[int]) -> None:
        """Share one forward out over the queries that rode in it."""
        riders = set(owners)
        for rider in riders:
            self.add(rider, Usage(forwards=1 / len(riders)))
