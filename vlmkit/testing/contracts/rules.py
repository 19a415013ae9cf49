"""How a broken rule is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen


class ContractError(AssertionError):
    """An object breaks its contract; the message says what is demanded and what was seen instead."""


@frozen
class Rules:
    """Holds one object to its contract.

    Args:
        subject: What messages call the object.
    """

    subject: str

    def demand(self, kept: bool, rule: str, seen: object) -> None:
        """Pass if the rule is kept.

        Raises:
            ContractError: It is not.
        """
        if not kept:
            raise ContractError(f"{self.subject}: {rule}, but {seen}")

    @contextmanager
    def no_error(self, rule: str) -> Iterator[None]:
        """Report whatever the object raises as a breach of ``rule``.

        Raises:
            ContractError: The body raised.
        """
        try:
            yield
        except Exception as error:
            raise ContractError(f"{self.subject}: {rule}, but it raised {type(error).__name__}: {error}") from error
