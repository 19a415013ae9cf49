"""New plugins: complete distributions, written from templates."""

from vlmkit.scaffold.distribution import Distribution

__all__ = ["Distribution"]
