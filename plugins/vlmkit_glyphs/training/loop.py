"""The training loop, which goes on where it was cut off."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from attrs import asdict, define, frozen
from torch.nn.functional import cross_entropy
from transformers import Qwen3VLForConditionalGeneration

from vlmkit.errors import DataError
from vlmkit_glyphs.training.batches import grids
from vlmkit_glyphs.training.recipe import Recipe
from vlmkit_glyphs.training.samples import Sample, Sampler

REPORT_EVERY = 100
"""Steps between two points of the loss curve."""

SAVE_EVERY = 200
"""Steps between two savings of all that the training needs to go on; a multiple of ``REPORT_EVERY``."""


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


@define
class Trainer:
    """Trains a model on what a sampler gives it.

    Args:
        recipe: For how long, and how fast.
        model: The model; it is changed in place.
        sampler: What each step trains on.
        given: What else the weights depend on, JSON-ready: a saved state of anything else is refused.
        limit: Seconds in which it has to be done, above 0; the schedule then runs by the clock where that is faster.
        saved: File that holds the state of a training that was cut off.
        report: Receives one line every 100 steps.
    """

    recipe: Recipe
    model: Qwen3VLForConditionalGeneration
    sampler: Sampler
    given: Mapping[str, Any]
    limit: float
    saved: Path
    report: Callable[[str], None]

    def run(self) -> list[Point]:
        """Train to the end, from the saved state if there is one; return the loss curve.

        Raises:
            DataError: The saved state is of another training.
        """
        rng = random.Random(self.recipe.seed)
        parameters = list(self.model.parameters())
        optimizer = torch.optim.AdamW(parameters, lr=self.recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        curve: list[Point] = []
        if self.saved.exists():
            curve = self._load(optimizer, rng)
            self.report(f"going on from {self.saved}, step {curve[-1].step:,}")
        sums = torch.zeros(2, device=self.model.device)
        since, step, before = 0, *((curve[-1].step, curve[-1].seconds) if curve else (0, 0.0))
        started = time.monotonic() - before
        progress = max(step / self.recipe.steps, before / self.limit)
        while progress < 1:
            for group in optimizer.param_groups:
                group["lr"] = self._learning_rate(step, progress)
            loss, whole = self._loss(self.sampler(progress, rng))
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            sums += torch.stack([loss.detach(), whole])
            step, since = step + 1, since + 1
            seconds = time.monotonic() - started
            progress = max(step / self.recipe.steps, seconds / self.limit)
            if step % REPORT_EVERY == 0 or progress >= 1:
                mean_loss, mean_whole = (sums / since).tolist()  # waits for the device, hence not at every step
                curve.append(
                    Point(step, round(mean_loss, 5), round(mean_whole, 5), round(time.monotonic() - started, 1))
                )
                self.report(str(curve[-1]))
                since = 0
                sums.zero_()
            if step % SAVE_EVERY == 0:
                self._save(optimizer, rng, curve)
        return curve

    def _save(self, optimizer: torch.optim.Optimizer, rng: random.Random, curve: list[Point]) -> None:
        state = {
            "training": self._identity,
            "model": self.model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": rng.getstate(),
            "curve": [asdict(point) for point in curve],
        }
        unfinished = self.saved.with_suffix(".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(self.saved)

    def _load(self, optimizer: torch.optim.Optimizer, rng: random.Random) -> list[Point]:
        state: dict[str, Any] = torch.load(self.saved, map_location=self.model.device, weights_only=True)
        if state.get("training") != self._identity:
            raise DataError(
                f"{self.saved} is of a training with another recipe, start or questions",
                hint="give the same options or another --output",
            )
        self.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        rng.setstate(state["rng"])
        return [Point(**point) for point in state["curve"]]

    @property
    def _identity(self) -> dict[str, Any]:
        return {"recipe": asdict(self.recipe), **self.given}

    def _learning_rate(self, step: int, progress: float) -> float:
        """Warm up by step, fall along half a cosine to a fiftieth."""
        warm = min(1.0, (step + 1) / self.recipe.warmup_steps)
        return self.recipe.learning_rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))

    def _loss(self, sample: Sample) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cross entropy at the answer tokens and the share of answers that are right as a whole."""
        positions = self._positions(sample).to(self.model.device)
        batch = sample.batch.to(self.model.device)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16):
            hidden = self.model.model(
                input_ids=batch.input_ids, position_ids=positions, use_cache=False, **sample.pictures
            ).last_hidden_state
            logits = self.model.lm_head(hidden.flatten(0, 1)[batch.read_at]).float()
        loss = cross_entropy(logits, batch.answers)
        wrong = (logits.argmax(-1) != batch.answers).float()
        mistakes = torch.zeros(len(batch.input_ids), device=wrong.device).index_add(0, batch.owners, wrong)
        return loss, (mistakes == 0).float().mean()

    def _positions(self, sample: Sample) -> torch.Tensor:
        """Return positions, int64 [3, questions, tokens]; all rows share them, as their images lie at one place."""
        row = sample.batch.input_ids[:1]
        image = (row == self.model.config.image_token_id).int()
        positions: torch.Tensor
        positions, _ = self.model.model.get_rope_index(row, image, image_grid_thw=grids(sample.images))
        return positions.expand(3, *sample.batch.input_ids.shape)
