"""One training run: what it starts from, what it trains on, what it writes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path

import torch
import transformers
from attrs import asdict
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import Qwen3VLForConditionalGeneration, Qwen3VLProcessor

from vlmkit import Example
from vlmkit_glyphs.training.batches import Encoder, Pictures
from vlmkit_glyphs.training.dialogues import Dialogues
from vlmkit_glyphs.training.loop import Trainer
from vlmkit_glyphs.training.model import build_model
from vlmkit_glyphs.training.processor import build_processor
from vlmkit_glyphs.training.recipe import Recipe
from vlmkit_glyphs.training.samples import Lists, Mixed, Sampler
from vlmkit_glyphs.training.vision import attend_all_pictures_at_once
from vlmkit_glyphs.training.vocabulary import learn_words

STATE = "state.pt"
"""What a training that was cut off leaves in its directory."""

_LEAST = 1.0
"""Seconds that are left for training where all time went into what comes before: enough for a step."""


def train(
    recipe: Recipe,
    output: Path,
    *,
    start: Path | None = None,
    questions: Mapping[str, Iterable[Example]] | None = None,
    device: str | None = None,
    limit_minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train the model and write it as a Hugging Face model directory with a ``training.json``.

    The same recipe gives the same weights on the same machine, unless ``limit_minutes`` cuts it short. A training that
    was cut off goes on from the last of its savings.

    Args:
        recipe: What to train on and for how long.
        output: Directory to write to; made where it is missing.
        start: Model directory of an earlier training, to go on from its weights.
        questions: Data sets by their specs, to train on their questions, too; the model first learns their words.
        device: A torch device; by default CUDA where there is one, else the CPU.
        limit_minutes: Finish within that time: the schedule then runs by the clock where that is faster.
        report: Receives one line every 100 steps.

    Raises:
        DataError: An example of a data set cannot be trained on, or the directory holds what is left of another
            training.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(recipe.seed)
    if start is None:
        processor = build_processor()
        model = build_model(processor.tokenizer)
    else:
        processor = Qwen3VLProcessor.from_pretrained(start)
        model = Qwen3VLForConditionalGeneration.from_pretrained(start, use_safetensors=True)
    started = time.monotonic()
    dialogues = Dialogues.read(list(questions.values()), processor, place) if questions else None
    if dialogues is not None:
        report(f"{len(dialogues.patches):,} pictures of questions read in {time.monotonic() - started:,.0f} s")
        learn_words(model, processor.tokenizer, dialogues.texts)
        attend_all_pictures_at_once(model)
    model = model.to(place).train()
    report(f"{model.num_parameters():,} parameters, {len(processor.tokenizer)} tokens, on {place}")
    pictures = Pictures.drawn(processor, each=recipe.images_per_leaf, seed=recipe.seed, device=place)
    report(f"{pictures.patches[..., 0, 0].numel():,} pictures drawn in {time.monotonic() - started:,.0f} s")
    spent = time.monotonic() - started
    limit = math.inf if limit_minutes is None else max(limit_minutes * 60 - spent, _LEAST)
    output.mkdir(parents=True, exist_ok=True)
    sampler = _sampler(recipe, processor, pictures, dialogues)
    specs = list(questions or ())
    given = {"start": None if start is None else str(start.resolve()), "questions": specs}
    # Over many small pictures the fused kernel's backward pass takes half of a step on a CPU. Lists alone keep it, so
    # that their weights stay the same to the bit.
    with nullcontext() if dialogues is None else sdpa_kernel(SDPBackend.MATH):
        curve = Trainer(recipe, model, sampler, given, limit, output / STATE, report).run()
    model.to("cpu").eval().save_pretrained(output)
    processor.save_pretrained(output)
    facts = {
        "recipe": asdict(recipe),
        "start": None if start is None else json.loads((start / "training.json").read_text(encoding="utf-8")),
        "questions": specs,
        "steps_done": curve[-1].step,
        "seconds": round(time.monotonic() - started, 1),
        "device": torch.cuda.get_device_name(place)
        if place.type == "cuda"
        else f"{place}, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "curve": [asdict(point) for point in curve],
    }
    (output / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (output / STATE).unlink(missing_ok=True)


def _sampler(recipe: Recipe, processor: Qwen3VLProcessor, pictures: Pictures, dialogues: Dialogues | None) -> Sampler:
    lists = Lists(recipe, Encoder(processor), pictures)
    if dialogues is None:
        return lists
    encoders = {images: Encoder(processor, images) for images in dialogues.numbers_of_images}
    return Mixed(recipe, lists, dialogues, encoders)
