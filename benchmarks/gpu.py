"""Parity, a short benchmark and the tests that need CUDA, on one device, into a dated report: ``make gpu``.

    python benchmarks/gpu.py --device cuda

Without a CUDA device it says so and succeeds. ``--device cpu`` goes the very same way, slowly.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import click
import torch
from dci_vs_generate import compare, report

from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import SIZES, sized_checkpoint
from vlmkit.testing.parity import TOLERANCES, measure, model_names
from vlmkit.testing.parity_page import setting, summary, tables
from vlmkit_adapters.tiny import CHECKPOINT
from vlmkit_glyphs.names import LEAVES

ROOT = Path(__file__).parents[1]


def parity(models: Sequence[str], device: str, dtype: str) -> tuple[bool, str]:
    """Return whether every model keeps the tolerance, and the section that shows it."""
    builder = Builder(PluginHost.load().registry)
    found = []
    for model in models:
        click.echo(f"comparing {model} in {dtype}", err=True)
        found += measure(model, builder, device=device, dtype=dtype, tolerance=TOLERANCES[dtype])
    shown = [f"### {each.readout}\n\n{each.markdown}" for each in tables(found)]
    text = "\n\n".join([f"## Parity in {dtype}", summary(found, dtype, TOLERANCES[dtype]), *shown])
    return all(one.within for one in found), text


def benchmark(size: str, device: str, labels: int, images: int, in_flight: int) -> str:
    """Return the section on DCI against generate, on the embedded model and on a random one of that size."""
    dtype = "bfloat16"
    asked = {"labels": labels, "images": images, "in_flight": in_flight, "device": device, "dtype": dtype}
    figures = report({dtype: compare(str(CHECKPOINT), **asked)})
    with tempfile.TemporaryDirectory() as folder:
        click.echo(f"drawing a model of size {size}", err=True)
        words = [word for name in LEAVES for word in (name, f" {name}")]
        model = str(sized_checkpoint(size, Path(folder), words=words, device=device))
        # A random model never ends its reply; a label has 3 tokens and an end.
        random = compare(model, **asked, max_tokens=4)
    return (
        f"## DCI against generate in {dtype}\n\nThe embedded model:\n\n```\n{figures}\n```\n\n"
        f"{size} with random weights, replies of 4 tokens. Its choices mean nothing:\n\n"
        f"```\n{report({dtype: random})}\n```"
    )


def tests() -> tuple[bool, str]:
    """Run the tests that need CUDA; return whether none failed, and what pytest says."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "cuda", str(ROOT / "tests" / "test_cuda.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    last = done.stdout.strip().splitlines()[-1]
    return done.returncode == 0, f"## Tests that need CUDA\n\n`{last}`"


@click.command()
@click.argument("models", nargs=-1)
@click.option("--device", default="cuda", show_default=True, help="cuda, cuda:1, cpu.")
@click.option(
    "--dtype", multiple=True, default=("float32", "bfloat16"), show_default=True, help="Precisions of parity."
)
@click.option("--size", type=click.Choice(list(SIZES)), default="qwen3-vl-4b", show_default=True, help="Random model.")
@click.option("--labels", default=1000, show_default=True, help="Labels of the benchmark.")
@click.option("--images", default=4, show_default=True, help="Images of the benchmark, after one block for warm-up.")
@click.option("--in-flight", default=4, show_default=True, help="Images that vlmkit works on at a time: a block.")
@click.option("--output", type=click.Path(path_type=Path), default=ROOT / "docs" / "measurements", help="Folder.")
def main(
    models: Sequence[str],
    device: str,
    dtype: Sequence[str],
    size: str,
    labels: int,
    images: int,
    in_flight: int,
    output: Path,
) -> None:
    """Measure on a device and write a report; MODELS as for vlmkit parity, by default all."""
    if device.startswith("cuda") and not torch.cuda.is_available():
        click.echo("no CUDA device here: nothing measured")
        return
    started = time.perf_counter()
    compared = [parity(models or model_names(), device, one) for one in dtype]
    timed = benchmark(size, device, labels, images, in_flight)
    passed, said = tests()
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    page = output / f"{date.today()}-{re.sub('[^a-z0-9]+', '-', name.lower())}.md"
    command = " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]])
    head = f"# {name}\n\n`{command}`, {time.perf_counter() - started:.0f} s.\n\n{setting(device)}."
    output.mkdir(parents=True, exist_ok=True)
    page.write_text("\n\n".join([head, *(text for _, text in compared), timed, said]) + "\n", encoding="utf-8")
    click.echo(f"written: {page}")
    if not (passed and all(sound for sound, _ in compared)):
        sys.exit(1)


if __name__ == "__main__":
    main()
