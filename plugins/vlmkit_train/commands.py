"""``vlmkit train``: fine-tune a vision-language checkpoint."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs
import click

from vlmkit import Intervened, Mask
from vlmkit.cli.main import session
from vlmkit.cli.options import CONFIG, MODEL, SEED, TRUST_REMOTE_CODE, Decorator
from vlmkit.cli.output import note, print_json
from vlmkit.errors import ModelError, SpecError, UserError
from vlmkit.registry import Builder, Registry
from vlmkit_train.settings import Settings

_PUBLISHED = {field.name: field.default for field in attrs.fields(Settings)}


class _Layers(click.ParamType[tuple[int, int]]):
    """Reads ``12-23`` or ``12``."""

    name = "FIRST-LAST"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", str(value).strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if first > last:
            self.fail(f"{value!r} is no range of layers such as 12-23", param, ctx)
        return first, last


def _number(name: str, kind: Any, help: str) -> Decorator:
    return click.option(
        f"--{name.replace('_', '-')}", type=kind, default=_PUBLISHED[name], show_default=True, help=help
    )


_POSITIVE, _SHARE = click.IntRange(min=1), click.FloatRange(0, 1)
_ABOVE_ZERO = click.FloatRange(min=0, min_open=True)


@click.group()
def train() -> None:
    """Fine-tune a vision-language checkpoint."""


@train.command()
@CONFIG
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Conversations to learn, JSONL or JSON.",
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="What paths of images are relative to.  [default: the folder of --data]",
)
@MODEL
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Directory for the LoRA.")
@_number("rank", _POSITIVE, "Rank of the updates.")
@_number("alpha", _ABOVE_ZERO, "The updates are scaled by alpha / rank.")
@_number("dropout", click.FloatRange(0, 1, max_open=True), "Share of inputs that an update does not see.")
@click.option("--layers", type=_Layers(), help="Decoder layers to update, counted from 0.  [default: all]")
@click.option("--targets", metavar="NAME,...", help="Linear maps to update, such as q_proj,v_proj.  [default: all]")
@_number("learning_rate", _ABOVE_ZERO, "Peak learning rate of AdamW.")
@_number("weight_decay", click.FloatRange(min=0), "Weight decay of AdamW.")
@_number("epochs", _ABOVE_ZERO, "Times that each conversation is seen.")
@click.option("--steps", type=_POSITIVE, help="Optimizer steps, instead of --epochs.")
@_number("batch_size", _POSITIVE, "Conversations in a forward.")
@_number("accumulate", _POSITIVE, "Forwards in an optimizer step.")
@_number("warmup", _SHARE, "Share of the steps in which the learning rate rises.")
@click.option("--strategy", metavar="SPEC", help="masked:layers=12-23: images do not see each other in these layers.")
@SEED
@click.option("--device", help="Device to train on: cuda, cuda:1, cpu.")
@click.option(
    "--dtype", type=click.Choice(["float32", "bfloat16"]), help="Precision of the base; updates are always float32."
)
@click.option("--revision", help="Branch, tag or commit of a model on the hub.")
@TRUST_REMOTE_CODE
@click.option("--recompute", is_flag=True, help="Compute activations twice: less memory, about a third more time.")
@click.option(
    "--save-every", type=_POSITIVE, default=200, show_default=True, help="Optimizer steps between checkpoints."
)
@click.option("--resume", is_flag=True, help="Go on from the last checkpoint in --output, or start.")
@click.option("--json", is_flag=True, help="Print the record of the training as JSON.")
@click.option("--quiet", is_flag=True, help="No progress.")
@click.pass_context
def lora(
    context: click.Context,
    /,
    *,
    data: Path,
    images: Path | None,
    model: str,
    output: Path,
    targets: str | None,
    strategy: str | None,
    device: str | None,
    dtype: str | None,
    revision: str | None,
    trust_remote_code: bool,
    recompute: bool,
    save_every: int,
    resume: bool,
    json: bool,
    quiet: bool,
    **numbers: Any,
) -> None:
    """Train a LoRA of a model's language part on conversations; the result loads with --model M --lora DIR.

    Only replies count. Vision tower, projector, embeddings and head stay as they are. The defaults are published
    settings (arXiv 2505.24840).
    """
    _need("peft", "accelerate")
    from vlmkit.local.checkpoint import Checkpoint
    from vlmkit.runs.files import Lock, disk_errors
    from vlmkit.testing.located import source_of
    from vlmkit_train.conversations import Conversations
    from vlmkit_train.lora import train_lora
    from vlmkit_train.record import earlier, started, write

    registry = session(context).plugins.registry
    base = source_of(model, Builder(registry))
    if base is None:
        name = model.partition(":")[0]
        raise ModelError(f"adapter {name} has no checkpoint to train", hint="give a model directory or a hub id")
    checkpoint = Checkpoint(base, device, dtype, revision, trust_remote_code)
    checkpoint.check_reads_images()
    if checkpoint.torch_device.index:
        raise ModelError(
            f"training takes the first CUDA device, not {device}", hint="choose it with CUDA_VISIBLE_DEVICES"
        )
    names = () if targets is None else tuple(name.strip() for name in targets.split(","))
    mask = None if strategy is None else _mask(strategy, registry)
    settings = Settings(targets=names, mask=mask, **numbers)
    conversations = Conversations.open(data, images)
    now = started(checkpoint, model, conversations, settings)
    before = earlier(output, now, resume=resume)
    if before is None or before["status"] != "finished":
        with disk_errors(output):
            output.mkdir(parents=True, exist_ok=True)
        lock = Lock.take(output / ".lock")
        try:
            write(output, now)
            done = train_lora(
                settings,
                conversations,
                checkpoint,
                output,
                save_every=save_every,
                recompute=recompute,
                report=(lambda line: None) if quiet else note,
            )
            before = {**now, "status": "finished", **done}
            write(output, before)
        except KeyboardInterrupt:
            note("interrupted; --resume goes on from the last checkpoint")
            raise
        finally:
            lock.release()
    elif not quiet:
        note(f"{output} is finished already")
    if json:
        print_json(before)
    else:
        click.echo(f"{before['steps']:,} steps; use it: --model {model} --lora {output}")


def _mask(spec: str, registry: Registry) -> Mask:
    """Return the mask of a strategy.

    Raises:
        SpecError: It is none that a model can be trained with.
    """
    strategy = Builder(registry).strategy(spec)
    if isinstance(strategy, Intervened) and not isinstance(strategy.inner, Intervened):
        change = strategy.intervention
        if isinstance(change, Mask):
            return change
    raise SpecError(f"no model can be trained with strategy {spec}", hint="give masked with its options")


def _need(*packages: str) -> None:
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise UserError(f"training needs {' and '.join(missing)}", hint='pip install "vlmkit[train]"')
