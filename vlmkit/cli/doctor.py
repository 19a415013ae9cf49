"""``vlmkit doctor``: does everything that a first run needs work here?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from attrs import asdict, frozen

from vlmkit.cli.main import session
from vlmkit.cli.output import console, print_json, table
from vlmkit.engine.pipeline import Pipeline
from vlmkit.registry import Builder, PluginHost, Spec
from vlmkit.runs.manifest import versions


@frozen
class Check:
    """One thing that was looked at.

    Args:
        name: What.
        ok: Whether it is fine.
        detail: What was found.
    """

    name: str
    ok: bool
    detail: str


@click.command()
@click.option("--json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(context: click.Context, json: bool) -> None:
    """Check the installation.

    Looks at versions, devices, disk and plugins, and puts one question to the embedded model. The exit code is 1 if
    something is broken.
    """
    opened = session(context)
    checks = [*_versions(), _devices(), _disk()]
    problems = [plugin.error for plugin in opened.plugins.failures] + list(opened.failures)
    checks += [Check("plugin", False, str(problem)) for problem in problems]
    checks.append(_guarded("embedded model", lambda: _first_answer(opened.plugins)))
    if json:
        print_json([asdict(check) for check in checks])
    else:
        rows = ((check.name, "ok" if check.ok else "BROKEN", check.detail) for check in checks)
        console().print(table(("check", "", "found"), rows))
    if not all(check.ok for check in checks):
        context.exit(1)


def _versions() -> Iterator[Check]:
    for package, version in versions().items():
        yield Check(package, version is not None, version or "not installed")


def _devices() -> Check:
    def look() -> str:
        import torch

        threads = f"cpu with {torch.get_num_threads()} threads"
        cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        return ", ".join([*(f"{card.name} with {card.total_memory / 2**30:.0f} GiB" for card in cards), threads])

    return _guarded("devices", look)


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free
    return Check("free disk", free > 2**27, f"{free / 2**30:.1f} GiB in {Path.cwd()}")


def _first_answer(plugins: PluginHost) -> str:
    dataset = Builder(plugins.registry).dataset(Spec("glyphs", {"labels": "10", "images": "1"}))
    with Pipeline(model="tiny", strategy="flat", plugins=plugins) as pipeline:
        (solved,) = pipeline.solve(dataset, dataset.labels)
        if solved.prediction is None:
            assert solved.error is not None
            raise solved.error
        return f"tiny takes {solved.example.target} for {solved.prediction.label}, in {solved.usage.seconds:.2f} s"


def _guarded(name: str, look: Callable[[], str]) -> Check:
    """Report whatever goes wrong as a finding: that is what the command is for."""
    try:
        return Check(name, True, look())
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}")
