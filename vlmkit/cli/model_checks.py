"""What ``vlmkit doctor`` looks at in one model: that it opens, what its server serves, and its readouts, by asking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import Any

from attrs import evolve

from vlmkit.cli.checks import Check, guarded
from vlmkit.contracts import Backend, ServesModels
from vlmkit.data.images import open_image
from vlmkit.engine.models import build_backend
from vlmkit.errors import UserError
from vlmkit.registry import Builder, PluginHost, Spec
from vlmkit.registry.build import READOUTS
from vlmkit.types import Ballot, Choose, Failed, Readout

_SHOWN = ("model", "base_url", "servers", "revision", "dtype", "device")
"""What is shown of a model's identity."""

_OFFERED = ("logprobs", "token_ids", "choices", "greedy")
"""What is shown of it with its name: what a server offers, in the words of the options that would say so."""


def model(spec: str, plugins: PluginHost) -> Iterator[Check]:
    """Open a model and put one small question to it for each readout."""
    builder = Builder(plugins.registry)
    try:
        backend = build_backend(spec, builder)
    except UserError as error:
        yield Check("model", "broken", error.message, error.hint)
        return
    with closing(backend):
        opened = guarded("model", lambda: _identity(backend))
        yield opened
        if isinstance(backend, ServesModels):
            # The list is a courtesy: servers answer without one.
            yield guarded("models served", lambda: ", ".join(backend.models()) or "none", otherwise="missing")
        if opened.state == "ok":
            yield from _readouts(backend, builder)


def _identity(backend: Backend) -> str:
    identity = backend.identity
    shown = [_words(identity[key]) for key in _SHOWN if identity.get(key) is not None]
    offered = [f"{key}={_as_option(identity[key])}" for key in _OFFERED if key in identity]
    return ", ".join(shown + offered)


def _words(value: Any) -> str:
    return " and ".join(value) if isinstance(value, list) else str(value)


def _as_option(value: Any) -> str:
    return {True: "yes", False: "no"}.get(value, str(value))


def _readouts(backend: Backend, builder: Builder) -> Iterator[Check]:
    """Ask with each readout; one that fails is missing where another works."""
    checks = [
        guarded(f"readout {name}", partial(_answer, backend, readout(), builder), otherwise="missing")
        if readout.requires in backend.capabilities
        else Check(f"readout {name}", "missing", "not offered")
        for name, readout in READOUTS.items()
    ]
    works = any(check.state == "ok" for check in checks)
    yield from checks if works else (evolve(check, state="broken") for check in checks)


def _answer(backend: Backend, readout: Readout, builder: Builder) -> str:
    dataset = builder.dataset(Spec("glyphs", {"labels": "10", "images": "1"}))
    (example,) = dataset
    images = tuple(open_image(source, name=example.id) for source in example.images)
    (answer,) = backend.answer([Choose(images, tuple(dataset.labels), readout=readout)])
    if isinstance(answer, Failed):
        raise answer.error
    assert isinstance(answer, Ballot)
    said = answer.choice or f"{answer.outcome}: {answer.reply}"
    return f"takes {example.target} for {said}, in {answer.usage.seconds:.2f} s"
