"""Everything that needs a GPU, in one run of under ten minutes, into a dated report: ``make gpu``.

    python benchmarks/gpu.py --device cuda

Without a CUDA device it says so and succeeds. ``--device cpu --quick`` goes the very same way with next to no labels.
Each part is a command in a process of its own, with its share of the time: one that fails or takes too long is noted
and costs none of the others. A new measurement is one more ``Part``.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import torch
from attrs import frozen

from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.located import resolved
from vlmkit.testing.models import SIZES
from vlmkit.testing.parity_page import setting
from vlmkit_glyphs.names import LEAVES

ROOT = Path(__file__).parents[1]


@frozen
class Part:
    """One measurement.

    Args:
        name: How the command line calls it.
        title: What it shows.
        seconds: Most seconds that it may take.
        command: A module and its arguments, or a script and its.
    """

    name: str
    title: str
    seconds: int
    command: tuple[str, ...]


@frozen
class Scale:
    """How much is measured.

    Args:
        labels: Labels in groups of 20.
        images: Images of that, in one turn, after as many as are in flight for warm-up.
        in_flight: Images that vlmkit works on at once.
        many: Options of ``vlmkit bench speed`` that choose many labels.
        strategies: Strategies on many labels.
        families: Models of which parity is shown in small; none for all.
    """

    labels: int
    images: int
    in_flight: int
    many: tuple[str, ...]
    strategies: tuple[str, ...]
    families: tuple[str, ...] = ()


FULL = Scale(
    1000, 32, 16, ("--data", "glyphs:labels=21000,per_image=2", "--labels", "21000"), ("dci:group_size=20", "flat")
)
QUICK = Scale(25, 1, 1, ("--labels", "40"), ("dci:group_size=20", "flat"), ("internvl",))


def parts(size: str, device: str, scale: Scale) -> Iterator[Part]:
    """Yield the measurements on a random model that lies where they run, the most telling first."""
    model, on = f"random:{size}", ("--device", device)
    fast = ("vlmkit", "bench", "speed", model, *on, "--dtype", "bfloat16")
    images = str(scale.images)
    amount = ("--images", images, "--in-flight", str(scale.in_flight), "--block", images, "--sample", "16")
    groups = ("--labels", str(scale.labels), "--group-size", "20", "--readout", "letter,likelihood")
    yield Part("speed", f"{scale.labels:,} labels in groups of 20", 120, (*fast, *groups, *amount))
    same = ("vlmkit", "parity", *on, "--dtype")
    small = ("float32", "bfloat16")
    yield Part("parity", "bfloat16 against plain float32", 90, (*same, small[1], "--plain-dtype", small[0], model))
    few = ("--readout", "likelihood", "--images", "1", "--in-flight", "1", "--sample", "1", "--batch", "1")
    for strategy in scale.strategies:
        name = strategy.partition(":")[0]
        yield Part(f"many-{name}", f"Many labels, {name}", 75, (*fast, "--strategy", strategy, *scale.many, *few))
    for dtype in small:
        yield Part(f"parity-{dtype}", f"Parity of all families in {dtype}", 60, (*same, dtype, *scale.families))
    heads = ("--heads", "32", "--kv-heads", "8", "--size", "128", "--rows", str(scale.labels // 20))
    yield Part("attention", "Attention, each way", 30, (str(ROOT / "benchmarks" / "attention.py"), *on, *heads))
    tests = str(ROOT / "tests" / "test_cuda.py")
    yield Part("tests", "Tests that need CUDA", 45, ("pytest", "-q", "-n", "0", "-m", "cuda", tests))


@frozen
class Outcome:
    """What came of a part.

    Args:
        part: The part.
        verdict: "fine", or what went wrong.
        seconds: What it took.
        said: What it printed.
    """

    part: Part
    verdict: str
    seconds: float
    said: str

    @property
    def section(self) -> str:
        """A section of the report."""
        command = " ".join(argument.replace(f"{ROOT}/", "") for argument in self.part.command)
        return f"## {self.part.title}\n\n```console\n$ {command}\n{self.said}\n```"


def run(part: Part, folder: Path = ROOT) -> Outcome:
    """Run a part in a folder, at most for its time."""
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [sys.executable, *([] if part.command[0].endswith(".py") else ["-m"]), *part.command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=folder,
            timeout=part.seconds,
            check=False,
        )
        # pytest says 5 where every test was left out.
        verdict, said = "fine" if done.returncode in (0, 5) else f"exit code {done.returncode}", done.stdout
    except subprocess.TimeoutExpired as error:
        verdict, said = f"not done in {part.seconds} s", _text(error.stdout)
    return Outcome(part, verdict, time.perf_counter() - started, said.strip())


def _text(output: bytes | str | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""


def report(outcomes: Sequence[Outcome], device: str, command: str) -> str:
    """Return the page: where it was measured, what became of every part, and what each printed."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    rows = [f"| {one.part.title} | {one.seconds:.0f} | {one.part.seconds} | {one.verdict} |" for one in outcomes]
    head = [
        f"# {name}",
        f"`{command}`, {sum(one.seconds for one in outcomes):.0f} s.",
        f"{setting(device)}.",
        "Models are random: their choices mean nothing, their speed and their rounding do.",
        "\n".join(["| part | seconds | at most | outcome |", "|---|--:|--:|---|", *rows]),
    ]
    return "\n\n".join([*head, *(one.section for one in outcomes)]) + "\n"


@click.command()
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:1, cpu.")
@click.option("--size", type=click.Choice(list(SIZES)), help="Random model.  [default: qwen3-vl-8b]")
@click.option("--quick", is_flag=True, help="Few labels and, by default, the smallest model: does the script work?")
@click.option("--part", "names", multiple=True, help="Only these parts.  [default: all]")
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "docs" / "measurements", help="Folder.")
def main(device: str, size: str | None, quick: bool, names: Sequence[str], output: Path) -> None:
    """Measure on a device and write a report."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        click.echo("no CUDA device here: nothing measured")
        return
    size = size or ("qwen3-vl-1m" if quick else "qwen3-vl-8b")
    with TemporaryDirectory() as folder:
        chosen = list(parts(size, device, QUICK if quick else FULL))
        known = [part.name for part in chosen]
        if unknown := set(names).difference(known):
            raise click.UsageError(f"no part {', '.join(sorted(unknown))}; there are {', '.join(known)}")
        click.echo(f"drawing {size}", err=True)
        # "and" stands between the leaves of a picture with two.
        resolved(
            f"random:{size}", Builder(PluginHost.load().registry), Path(folder), words=[*LEAVES, "and"], device=device
        )
        torch.cuda.empty_cache()  # does nothing where there is no CUDA
        outcomes = []
        for part in chosen:
            if not names or part.name in names:
                click.echo(f"{part.title}, at most {part.seconds} s", err=True)
                outcomes.append(run(part, Path(folder)))
    page = report(outcomes, device, " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]]))
    output.mkdir(parents=True, exist_ok=True)
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    path = output / f"{date.today()}-{re.sub('[^a-z0-9]+', '-', name.lower())}.md"
    path.write_text(page, encoding="utf-8")
    click.echo(f"written: {path}")
    if any(one.verdict != "fine" for one in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
