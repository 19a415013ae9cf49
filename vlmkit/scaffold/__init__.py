"""New plugins: complete distributions, written from templates."""

from vlmkit.scaffold.distribution import KINDS, Distribution

__all__ = ["KINDS", "Distribution"]
