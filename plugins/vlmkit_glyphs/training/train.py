"""The training loop."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers
from attrs import asdict, define, frozen
from torch.nn.functional import cross_entropy
from transformers import Qwen3VLForConditionalGeneration

from vlmkit_glyphs.training.batches import Batch, Encoder, Pictures, grids
from vlmkit_glyphs.training.model import build_model
from vlmkit_glyphs.training.processor import build_processor
from vlmkit_glyphs.training.questions import ask
from vlmkit_glyphs.training.recipe import Recipe

REPORT_EVERY = 100
"""Steps between two points of the loss curve."""


@frozen
class Point:
    """The loss curve at one step, averaged since the point before.

    Args:
        step: Steps done.
        loss: Cross entropy of an answer token in nats.
        whole: Share of answers that are right in every token, under teacher forcing.
        seconds: Seconds since the first step.
    """

    step: int
    loss: float
    whole: float
    seconds: float

    def __str__(self) -> str:
        return f"step {self.step:>6,}  loss {self.loss:.4f}  right {self.whole:6.1%}  {self.seconds:,.0f} s"


def train(
    recipe: Recipe,
    output: Path,
    *,
    start: Path | None = None,
    device: str | None = None,
    limit_minutes: float | None = None,
    report: Callable[[str], None] = print,
) -> None:
    """Train the model and write it as a Hugging Face model directory with a ``training.json``.

    The same recipe gives the same weights on the same machine, unless ``limit_minutes`` cuts it short.

    Args:
        recipe: What to train on and for how long.
        output: Directory to write to; made where it is missing.
        start: Model directory of an earlier training, to go on from its weights.
        device: A torch device; by default CUDA where there is one, else the CPU.
        limit_minutes: Finish within that time: the schedule then runs by the clock where that is faster.
        report: Receives one line every 100 steps.
    """
    place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if place.type == "cuda":
        torch.use_deterministic_algorithms(True, warn_only=True)
    torch.manual_seed(recipe.seed)
    processor = build_processor()
    model = build_model(processor.tokenizer)
    if start is not None:
        model.load_state_dict(type(model).from_pretrained(start).state_dict())
    model = model.to(place).train()
    report(f"{model.num_parameters():,} parameters, {len(processor.tokenizer)} tokens, on {place}")
    started = time.monotonic()
    pictures = Pictures.drawn(processor, each=recipe.images_per_leaf, seed=recipe.seed, device=place)
    report(f"{pictures.patches[..., 0, 0].numel():,} pictures drawn in {time.monotonic() - started:,.0f} s")
    limit = math.inf if limit_minutes is None else limit_minutes * 60 - (time.monotonic() - started)
    curve = _Trainer(recipe, model, Encoder(processor), pictures, limit, report).run()
    model.to("cpu").eval().save_pretrained(output)
    processor.save_pretrained(output)
    facts = {
        "recipe": asdict(recipe),
        "start": None if start is None else json.loads((start / "training.json").read_text(encoding="utf-8")),
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


@define
class _Trainer:
    recipe: Recipe
    model: Qwen3VLForConditionalGeneration
    encoder: Encoder
    pictures: Pictures
    limit: float
    report: Callable[[str], None]

    def run(self) -> list[Point]:
        recipe = self.recipe
        rng = random.Random(recipe.seed)
        parameters = list(self.model.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        curve: list[Point] = []
        sums = torch.zeros(2, device=self.model.device)
        since, step, progress = 0, 0, 0.0
        started = time.monotonic()
        while progress < 1:
            for group in optimizer.param_groups:
                group["lr"] = self._learning_rate(step, progress)
            loss, whole = self._loss(progress, rng)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            sums += torch.stack([loss.detach(), whole])
            step, since = step + 1, since + 1
            seconds = time.monotonic() - started
            progress = max(step / recipe.steps, seconds / self.limit)
            if step % REPORT_EVERY == 0 or progress >= 1:
                mean_loss, mean_whole = (sums / since).tolist()  # waits for the device, hence not at every step
                curve.append(
                    Point(step, round(mean_loss, 5), round(mean_whole, 5), round(time.monotonic() - started, 1))
                )
                self.report(str(curve[-1]))
                since = 0
                sums.zero_()
        return curve

    def _learning_rate(self, step: int, progress: float) -> float:
        """Warm up by step, fall along half a cosine to a fiftieth."""
        warm = min(1.0, (step + 1) / self.recipe.warmup_steps)
        return self.recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))

    def _loss(self, progress: float, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cross entropy at the answer tokens and the share of answers that are right as a whole."""
        grown = min(1.0, progress / self.recipe.growth) if self.recipe.growth else 1.0
        longest = round(4 + grown * (self.recipe.max_options - 4))
        options = rng.randint(2, longest)
        questions = [ask(self.recipe, options, rng) for _ in range(self.recipe.batch_size)]
        images = self.pictures.of([question.glyph for question in questions], rng)
        batch = self.encoder.encode(questions)
        positions = self._positions(batch).to(self.model.device)
        batch = batch.to(self.model.device)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16):
            hidden = self.model.model(
                input_ids=batch.input_ids, position_ids=positions, use_cache=False, **images
            ).last_hidden_state
            logits = self.model.lm_head(hidden.flatten(0, 1)[batch.read_at]).float()
        loss = cross_entropy(logits, batch.answers)
        wrong = (logits.argmax(-1) != batch.answers).float()
        mistakes = torch.zeros(len(questions), device=wrong.device).index_add(0, batch.owners, wrong)
        return loss, (mistakes == 0).float().mean()

    def _positions(self, batch: Batch) -> torch.Tensor:
        """Return positions, int64 [3, questions, tokens]; all rows share them, as their images lie at one place."""
        row = batch.input_ids[:1]
        image = (row == self.model.config.image_token_id).int()
        positions: torch.Tensor
        positions, _ = self.model.model.get_rope_index(row, image, image_grid_thw=grids(1))
        return positions.expand(3, *batch.input_ids.shape)
