"""Prompt texts, as data.

A prompt is a jinja2 template that sees ``options`` (labels with ``name``, ``description``, ``synonyms``),
``allow_none`` (whether "None" may be answered; jinja2 keeps ``none`` for itself) and ``letters`` (one letter for each
option, or an empty string). Everything that is the same for every group of options should stand before them: it is then
computed once for each image.
"""

from __future__ import annotations

import hashlib
import os
import string
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import jinja2
from attrs import field, frozen
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vlmkit.errors import PromptError, UnknownNameError

BUILT_IN = ("choose", "described")
"""The built-in prompts; ``described`` is ``choose`` with the descriptions and synonyms of the options."""


_HARMLESS = frozenset({"name", "description", "synonyms", "index", "index0", "first", "last"})
"""What templates read of options and loops; by these names nothing dangerous is reached on any object."""


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox that is quick about what every option is asked for."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if attribute in _HARMLESS and hasattr(obj, attribute):
            return getattr(obj, attribute)
        return super().getattr(obj, attribute)


class _Option(Protocol):
    @property
    def name(self) -> str: ...


@frozen
class _Probe:
    name: str
    description: str | None = None
    synonyms: tuple[str, ...] = ()


@frozen
class Prompt:
    """The words of a question with options.

    Args:
        template: A jinja2 template; see the module.
        name: Where it came from, for messages and manifests.

    Raises:
        PromptError: The template does not compile, or does not show every option's name.
    """

    template: str = field(repr=False)
    name: str = "inline"

    def __attrs_post_init__(self) -> None:
        probes = [_Probe(f"Probe {index} of two, aB") for index in range(2)]
        for letters in (False, True):
            text = self.render(probes, allow_none=True, letters=letters)
            for probe in probes:
                if probe.name not in text:
                    raise PromptError(
                        f"prompt {self.name} does not show every option as it is",
                        hint="loop over options and print {{ option.name }}",
                    )

    @classmethod
    def read(cls, path: Path) -> Prompt:
        """Read a prompt file.

        Raises:
            PromptError: The file cannot be read or is not a usable template.
        """
        try:
            return cls(path.read_text(encoding="utf-8-sig"), name=path.name)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PromptError(f"prompt file {path} cannot be read ({reason})", hint="give a UTF-8 text file") from error

    def render(self, options: Sequence[_Option], *, allow_none: bool = False, letters: bool = False) -> str:
        """Return the question's text, without images and chat template.

        Raises:
            PromptError: The template fails on these options.
        """
        template = self._compiled
        try:
            rendered = template.render(
                options=options, allow_none=allow_none, letters=string.ascii_uppercase if letters else ""
            )
        except Exception as error:  # the template is a user's code: its division by zero is no bug of ours
            raise PromptError(f"prompt {self.name} fails: {error}", hint="see docs/prompts.md") from error
        return rendered.strip("\n")

    def after(self, sentence: str) -> Prompt:
        """Return the same question with a sentence before it, which is shown as it is."""
        quoted = sentence.encode("unicode_escape").decode().replace('"', '\\"')
        return Prompt(f'{{{{ "{quoted}" }}}}\n{self.template}', name=self.name)

    @property
    def digest(self) -> str:
        """SHA-256 of the template, hexadecimal."""
        return hashlib.sha256(self.template.encode()).hexdigest()

    @cached_property
    def _compiled(self) -> jinja2.Template:
        environment = _Sandbox(undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
        try:
            return environment.from_string(self.template)
        except jinja2.TemplateError as error:
            raise PromptError(
                f"prompt {self.name} is not a jinja2 template: {error}", hint="see docs/prompts.md"
            ) from error


def default_prompt() -> Prompt:
    """Return the built-in prompt, ``choose``.

    Its wording is ours; its aims are the four of arXiv 2605.24799: one form for every question, a model that must not
    take the lazy way out, a reply in the listed spelling, and one worked example.
    """
    return _built_in("choose")


def named_prompt(name_or_path: str) -> Prompt:
    """Return the built-in prompt of that name, or else the one in that file.

    Raises:
        PromptError: It is neither, or the file is not a usable template.
    """
    if name_or_path in BUILT_IN:
        return _built_in(name_or_path)
    path = Path(name_or_path)
    if not os.path.exists(path):
        unknown = UnknownNameError("prompt", name_or_path, BUILT_IN)
        raise PromptError(f"{unknown.message}, and there is no such file", hint=unknown.hint)
    return Prompt.read(path)


@cache
def _built_in(name: str) -> Prompt:
    return Prompt(files(__name__).joinpath(f"{name}.jinja").read_text(encoding="utf-8"), name=name)
