"""Sources: labelled boxes in the formats in which they are published, or drawn on the spot."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, cast

import attrs

from vlmkit.errors import UnknownNameError
from vlmkit.registry import Builder, Registry, Spec
from vlmkit.registry.registry import Entry
from vlmkit.types import ImageSource
from vlmkit_mimic.collection import Annotations

SOURCES: Mapping[str, Entry] = MappingProxyType(
    {
        name: Entry("source", name, target, summary)
        for name, target, summary in (
            ("coco", "vlmkit_mimic.sources.coco:Coco", "COCO instances JSON and a folder of images"),
            ("openimages", "vlmkit_mimic.sources.openimages:OpenImages", "Open Images CSVs and a folder of images"),
            ("glyphs", "vlmkit_mimic.sources.glyphs:GlyphScenes", "Drawn glyphs, several in a picture"),
        )
    }
)
"""The sources by the names used in specs."""


class Source(Protocol):
    """Labelled pictures. Made cheaply; files are read by ``annotations``."""

    @property
    def images(self) -> Path | None:
        """The folder of the pictures, or None where they are drawn."""
        ...

    def annotations(self) -> Annotations:
        """Read or make up what is on the pictures.

        Raises:
            DataError: A file cannot be read or is wrong; the message says where.
        """
        ...

    def picture(self, name: str) -> ImageSource:
        """Return the picture of that name."""
        ...

    def identity(self, name: str) -> str:
        """Return what tells a picture from all others, those of other sources included."""
        ...


def build_source(spec: str, *, images: Path | None = None) -> Source:
    """Build a source from its spec, such as ``coco:annotations=FILE,images=DIR``.

    Args:
        spec: The spec.
        images: A folder of pictures that stands in for that of the spec.

    Raises:
        SpecError: The spec breaks the grammar, or an option does not fit.
        UnknownNameError: There is no such source.
    """
    parsed = Spec.parse(spec)
    if parsed.name not in SOURCES:
        raise UnknownNameError("source", parsed.name, SOURCES)
    source = Builder(Registry()).entry(SOURCES[parsed.name], parsed)
    return cast(Source, source if images is None else attrs.evolve(source, images=images))
