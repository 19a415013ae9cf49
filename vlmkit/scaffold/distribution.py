"""One new distribution: its names, its files, and where they go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from attrs import Attribute, field, frozen
from attrs.validators import in_

from vlmkit import __version__
from vlmkit.errors import UserError

KINDS = ("strategy", "adapter", "aggregator", "intervention", "dataset", "benchmark")
"""The registry's kinds that there are templates of."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST = 30
"""Characters of a name: with them the lines of the templates stay within 120."""


def _check_name(instance: object, attribute: Attribute[str], name: str) -> None:
    if name.startswith("vlmkit"):
        raise UserError(f"plugin name {name!r} begins with vlmkit", hint="leave that out: it is put before the name")
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        raise UserError(
            f"{name!r} is no name for a plugin",
            hint=f"give at most {_LONGEST} small letters and digits, words joined by '-', such as two-halves",
        )


@frozen
class Distribution:
    """A distribution with one plugin that registers one thing.

    Args:
        name: What it registers, and the entry point: ``two-halves`` for the distribution ``vlmkit-two-halves``.
        kind: One of ``KINDS``.

    Raises:
        UserError: The name cannot be that of a distribution and a module.
    """

    name: str = field(validator=_check_name)
    kind: str = field(validator=in_(KINDS))

    @property
    def distribution(self) -> str:
        """Name of the distribution, and of its folder."""
        return f"vlmkit-{self.name}"

    @property
    def module(self) -> str:
        """Name of the package."""
        return self.distribution.replace("-", "_")

    def check_free(self, taken: Mapping[str, str]) -> None:
        """Refuse a name that would clash with what is installed.

        Args:
            taken: What each name stands for that is in use.

        Raises:
            UserError: The name stands for something, or its module is there.
        """
        if self.name in taken:
            raise UserError(f"the name {self.name} is taken by {taken[self.name]}", hint="choose another")
        if find_spec(self.module) is not None:
            raise UserError(f"a module {self.module} is already installed", hint="choose another name")

    def files(self) -> dict[str, str]:
        """Return the text of every file, by its path in the distribution."""
        import jinja2  # only now: --help stays quick

        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("vlmkit.scaffold"),
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            trim_blocks=True,
        )
        templates = {
            "pyproject.toml": "pyproject.toml",
            "README.md": "README.md",
            ".github/workflows/test.yml": "workflow.yml",
            f"{self.module}/__init__.py": f"{self.kind}/__init__.py",
            f"{self.module}/{self.kind}.py": f"{self.kind}/{self.kind}.py",
            f"tests/test_{self.module}.py": f"{self.kind}/test.py",
        }
        values = {
            "name": self.name,
            "kind": self.kind,
            "distribution": self.distribution,
            "module": self.module,
            "prefix": "".join(word.capitalize() for word in self.name.split("-")),
            "versions": _versions(__version__),
        }
        texts = {
            path: environment.get_template(f"{template}.jinja").render(values) for path, template in templates.items()
        }
        return {**texts, f"{self.module}/py.typed": ""}

    def write(self, parent: Path) -> Path:
        """Write the distribution into a new folder of ``parent`` and return that.

        Raises:
            UserError: The folder is already there, or cannot be written.
        """
        folder = parent / self.distribution
        try:
            folder.mkdir(parents=True)
            for path, text in self.files().items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
        except FileExistsError:
            raise UserError(f"{folder} is already there", hint="choose another name or --directory") from None
        except OSError as problem:
            raise UserError(f"{folder} cannot be written ({problem.strerror})", hint="choose another place") from None
        return folder


def _versions(ours: str) -> str:
    """Return the versions of vlmkit that a plugin written today may expect to work with."""
    major, minor = ours.split(".")[:2]
    return f">={major}.{minor},<{major}.{int(minor) + 1}"
