"""Where the answer cache is: the values of ``--cache``, and the default file."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

DEFAULT = "default"
"""The word for the default file, where a file may be named."""

ENDING = ".sqlite"
"""Ending of cache files, by which a file is told from DATA that follows ``--cache`` by mistake."""

# Click alone reads the environment here, as for every other setting.
_FILE = click.Option(["--file"], envvar="VLMKIT_CACHE")
_CACHES = click.Option(["--caches"], envvar="XDG_CACHE_HOME")


class CacheFile(click.ParamType[Path]):
    """Reads the name of a cache file, or ``default``."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the file that the text means."""
        if value == DEFAULT and ctx is not None:  # without a context, it is the default itself that is asked for
            return default_file(ctx)
        path = Path(os.path.expanduser(value))
        if path.suffix != ENDING:
            self.fail(f"{value!r} is no cache file: its name must end in {ENDING}", param, ctx)
        return path


def default_file(context: click.Context) -> Path:
    """Return ``VLMKIT_CACHE``, else ``vlmkit/answers.sqlite`` where the user's caches are."""
    chosen = _FILE.resolve_envvar_value(context)
    if chosen is not None:
        return CacheFile().convert(chosen, _FILE, None)
    caches = _CACHES.resolve_envvar_value(context)
    home = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(caches or home) / "vlmkit" / f"answers{ENDING}"
