"""Changes inside a model for one query."""

from __future__ import annotations

from typing import ClassVar

from vlmkit.types.capability import Capability


class Intervention:
    """Base of changes inside a model for one query: frozen, hashable values that import no torch until they act.

    Two queries share what is computed from their images only if their interventions are equal, so everything that
    an intervention depends on is one of its fields.
    """

    requires: ClassVar[Capability]
    """What a backend must be able to do."""
