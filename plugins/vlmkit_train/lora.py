"""The training itself: transformers' Trainer over a model with a LoRA."""

from __future__ import annotations

import shutil
import time
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import peft
import torch
import transformers
from torch.utils.data import DataLoader, Dataset

from vlmkit.errors import BackendError
from vlmkit.local.chat import ChatModel
from vlmkit.local.checkpoint import Checkpoint, quiet
from vlmkit.local.masking import masked
from vlmkit_train.batches import AlikeBatches, Collator
from vlmkit_train.conversations import Conversation, Conversations
from vlmkit_train.record import CHECKPOINTS, last_checkpoint
from vlmkit_train.settings import Settings
from vlmkit_train.targets import target_modules

REPORTS = 50
"""Points of the loss curve."""


def train_lora(
    settings: Settings,
    data: Conversations,
    checkpoint: Checkpoint,
    output: Path,
    *,
    save_every: int,
    recompute: bool = False,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a LoRA and write it as peft does; go on from the last checkpoint in ``output`` where there is one.

    The same settings and data give the same LoRA on the same CPU with as many threads, interrupted or not.

    Args:
        settings: How to train.
        data: What to train on.
        checkpoint: The base model.
        output: Directory to write to.
        save_every: Optimizer steps between two checkpoints.
        recompute: Whether to compute activations again on the way back: less memory, about a third more time.
        report: Receives a line now and then.

    Returns:
        ``steps``, ``seconds`` of this session, ``parameters`` trained, and ``curve``: the loss in nats a token, each
        point the mean since the one before.

    Raises:
        ModelError: The model cannot be loaded or trained.
        UserError: A target or layer is not there.
        BackendError: Memory runs out.
    """
    started = time.monotonic()
    chat = ChatModel(checkpoint, checkpoint.load_processor(), checkpoint.load_model())
    model = _with_lora(chat.model, settings)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    report(f"{trained:,} parameters to train, {len(data):,} conversations, on {checkpoint.torch_device}")
    last = last_checkpoint(output)
    if last is not None:
        report(f"going on from {last.name}")
    trainer = _Trainer(settings, data, chat, model, output / CHECKPOINTS, save_every, recompute, report)
    try:
        hidden = nullcontext() if settings.mask is None else masked(model, settings.mask)
        with quiet(), hidden:
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
    except torch.OutOfMemoryError as error:
        raise BackendError(
            f"out of memory with {settings.batch_size} conversations in a forward",
            hint="use a smaller --batch-size with a larger --accumulate, or --recompute",
        ) from error
    model.save_pretrained(output)
    shutil.rmtree(output / CHECKPOINTS)
    return {
        "steps": trainer.state.global_step,
        "seconds": round(time.monotonic() - started, 1),
        "parameters": trained,
        "curve": [
            {"step": log["step"], "loss": round(log["loss"], 5)} for log in trainer.state.log_history if "loss" in log
        ],
    }


def _with_lora(model: Any, settings: Settings) -> Any:
    transformers.set_seed(settings.seed)
    targets = target_modules(model, settings.layers, settings.targets)
    config = peft.LoraConfig(
        r=settings.rank, lora_alpha=settings.alpha, lora_dropout=settings.dropout, target_modules=targets
    )
    model.config.use_cache = False
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks by a name that goes in v6
        return peft.get_peft_model(model, config)


class _Trainer(transformers.Trainer):  # type: ignore[misc]  # it has no types
    def __init__(
        self,
        settings: Settings,
        data: Conversations,
        chat: ChatModel,
        model: Any,
        directory: Path,
        save_every: int,
        recompute: bool,
        report: Callable[[str], None],
    ) -> None:
        order = AlikeBatches(data.images, settings.batch_size, settings.seed)
        collate = Collator(chat, owners=settings.mask is not None)
        self._loader = DataLoader(
            cast("Dataset[Conversation]", data), settings.batch_size, sampler=order, collate_fn=collate
        )
        per_epoch = -(-len(self._loader) // settings.accumulate)
        steps = settings.steps or max(1, round(settings.epochs * per_epoch))
        arguments = transformers.TrainingArguments(
            output_dir=str(directory),
            max_steps=steps,
            per_device_train_batch_size=settings.batch_size,
            gradient_accumulation_steps=settings.accumulate,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            lr_scheduler_type="cosine",
            warmup_steps=int(settings.warmup * steps),
            seed=settings.seed,
            logging_steps=max(1, steps // REPORTS),
            save_strategy="steps",
            save_steps=save_every,
            save_total_limit=1,
            use_cpu=chat.device.type == "cpu",
            dataloader_pin_memory=chat.device.type == "cuda",
            remove_unused_columns=False,
            label_names=["labels"],
            report_to="none",
            disable_tqdm=True,
            **(_recomputing() if recompute else {}),
        )
        if arguments.n_gpu > 1:
            arguments._n_gpu = 1  # or the Trainer splits every batch over all devices
        super().__init__(model, arguments, train_dataset=data, callbacks=[_Report(report, steps)])
        self.remove_callback(transformers.PrinterCallback)

    def get_train_dataloader(self) -> Any:
        return self.accelerator.prepare(self._loader)


def _recomputing() -> dict[str, Any]:
    """Return the arguments that make the Trainer compute activations twice, by the names of this transformers."""
    new = hasattr(transformers.TrainingArguments, "activation_checkpointing")
    name = "activation_checkpointing" if new else "gradient_checkpointing"
    return {name: True, f"{name}_kwargs": {"use_reentrant": False}}


class _Report(transformers.TrainerCallback):  # type: ignore[misc]  # it has no types
    def __init__(self, report: Callable[[str], None], steps: int) -> None:
        self._report = report
        self._steps = steps
        self._started = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" in logs:
            seconds = time.monotonic() - self._started
            self._report(f"step {state.global_step:,} of {self._steps:,}  loss {logs['loss']:.4f}  {seconds:,.0f} s")
