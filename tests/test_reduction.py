"""Fewer visual tokens in every family: held against plain transformers that are fed with the fewer tokens."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from attrs import evolve

from vlmkit import Choose, Label
from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import RECIPES, shared_checkpoint
from vlmkit.testing.noise import noise
from vlmkit.testing.plain import Plain
from vlmkit_mimic.reducers.mean import Mean

TOLERANCE = 1e-4
"""Largest difference in log-probability, float32, nats."""

NAMES = ("apple", "dog house", "red tulip", "oak")
"""None of them begins another."""

TREES = sorted(set(RECIPES) - {"idefics3", "qwen3_5"})
"""Families on token trees."""

BUILDER = Builder(PluginHost.load().registry)


def fresh(name):
    return build_backend(str(shared_checkpoint(name)), BUILDER)


@cache
def shared(name):
    return fresh(name)


@cache
def plain_model(name):
    return Plain(shared_checkpoint(name))


def query_of(*images, count=3, **more) -> Choose:
    return Choose(images, [Label(name) for name in NAMES[:count]], **more)


class Sequence:
    """A prompt as transformers sees it: embeddings, positions, deep features by level; reduced by hand."""

    def __init__(self, plain, query) -> None:
        self.plain, self.core = plain, plain.model.model
        self.inputs = plain.inputs(query)
        self.ids = self.inputs["input_ids"][0]
        self.visual = (self.ids == plain.model.config.image_token_id).tolist()
        self.embeds = plain.model.get_input_embeddings()(self.ids)
        given = {
            key: value
            for key, value in self.inputs.items()
            if key not in ("input_ids", "attention_mask", "token_type_ids")
        }
        if "image_grid_thw" in given:
            places, _ = self.core.get_rope_index(
                self.ids[None],
                mm_token_type_ids=given.pop("mm_token_type_ids"),
                image_grid_thw=given["image_grid_thw"],
            )
            self.positions = places[:, 0].T
        else:
            self.positions = torch.arange(len(self.ids))[:, None]
        out = self.core.get_image_features(**given)
        features = out.pooler_output
        self.sizes = [len(one) for one in features] if isinstance(features, list | tuple) else self.runs()
        features = torch.cat(list(features)) if isinstance(features, list | tuple) else features.flatten(0, 1)
        self.embeds[torch.tensor(self.visual)] = features
        levels = getattr(out, "deepstack_features", None) or ()
        self.deep = [level if isinstance(level, torch.Tensor) else torch.cat(list(level)) for level in levels]

    def runs(self) -> list[int]:
        text = "".join("x" if one else " " for one in self.visual)
        return [len(run) for run in text.split()]

    def pooled(self, factor: int, positions: str) -> None:
        """Replace the tokens one by one."""
        image_of = [image for image, size in enumerate(self.sizes) for _ in range(size)]
        embeds, places, visual, deep, first = [], [], [], [[] for _ in self.deep], self.visual.index(True)
        number = -1
        group = []
        for index, is_visual in enumerate(self.visual):
            if is_visual:
                number += 1
                group.append((index, number))
                last = number + 1 == len(image_of) or image_of[number + 1] != image_of[number]
                if len(group) < factor and not last:
                    continue
                embeds.append(sum(self.embeds[i] for i, _ in group) / len(group))
                places.append(self.positions[group[0][0]])
                for level, mine in zip(self.deep, deep, strict=True):
                    mine.append(sum(level[n] for _, n in group) / len(group))
                group = []
            else:
                embeds.append(self.embeds[index])
                places.append(self.positions[index])
            visual.append(is_visual)
        if positions == "repack":
            start = places[first].max()
            places[first:] = [(start + step).expand(len(places[first])) for step in range(len(places) - first)]
            self.next = int(places[-1].max()) + 1
        else:
            self.next = int(self.positions.max()) + 1
        self.embeds, self.positions, self.visual = torch.stack(embeds), torch.stack(places), visual
        self.deep = [torch.stack(mine) for mine in deep]

    def log_prob(self, text: str) -> float:
        target = torch.tensor(self.plain._tokens(text))
        embeds = torch.cat([self.embeds, self.plain.model.get_input_embeddings()(target)])[None]
        after = (self.next + torch.arange(len(target)))[:, None].expand(-1, self.positions.shape[1])
        places = torch.cat([self.positions, after]).T
        places = places[:, None] if len(places) > 1 else places
        # Without a mask, transformers takes a gap between positions for the border of two packed sequences.
        more = {"attention_mask": torch.ones(embeds.shape[:2], dtype=torch.int64)}
        if self.deep:
            mask = torch.tensor([*self.visual, *[False] * len(target)])[None]
            more |= {"visual_pos_masks": mask, "deepstack_visual_embeds": self.deep}
        if self.plain.model.config.model_type == "gemma3":  # whose images see ahead
            more["token_type_ids"] = torch.tensor([*self.visual, *[False] * len(target)], dtype=torch.int64)[None]
            hidden = self.core(inputs_embeds=embeds, position_ids=places, use_cache=False, **more)
        else:
            hidden = self.core.language_model(inputs_embeds=embeds, position_ids=places, use_cache=False, **more)
        logits = self.plain.model.lm_head(hidden.last_hidden_state[0, -len(target) - 1 : -1])
        return float(logits.log_softmax(-1)[torch.arange(len(target)), target].sum())


class CrossAttended(Sequence):
    """Llama 3.2 Vision: the states that its layers of cross-attention see are reduced, the sequence stays."""

    def __init__(self, plain, query) -> None:
        self.plain, self.core = plain, plain.model.model
        self.inputs = plain.inputs(query)
        self.ids = self.inputs["input_ids"][0]

    def pooled(self, factor: int, positions: str) -> None:
        inputs = self.inputs
        out = self.core.vision_model(
            **{key: inputs[key] for key in ("pixel_values", "aspect_ratio_ids", "aspect_ratio_mask")}
        )
        states = self.core.multi_modal_projector(out.last_hidden_state)
        images, tiles, patches = states.view(-1, *out.last_hidden_state.shape[-3:-1], states.shape[-1]).shape[:3]
        states = states.view(images, tiles * patches, -1)
        pools, owners = [], []
        for image, count in enumerate(inputs["aspect_ratio_mask"][0].sum(-1).tolist()):
            for part, owner in ((states[image, : count * patches], image), (states[image, count * patches :], -1)):
                groups = [part[start : start + factor].mean(0) for start in range(0, len(part), factor)]
                pools += groups
                owners += [owner] * len(groups)
        self.states, self.owners = torch.stack(pools), torch.tensor(owners)

    def log_prob(self, text: str) -> float:
        target = torch.tensor(self.plain._tokens(text))
        ids = torch.cat([self.ids, target])
        sees = self.inputs["cross_attention_mask"][0].amax(-1)
        sees = torch.cat([sees, sees[-1:].expand(len(target), -1)])
        seen = torch.zeros(len(ids), len(self.owners), dtype=torch.bool)
        for image in range(sees.shape[1]):
            seen |= (sees[:, image, None] > 0) & (self.owners == image)
        behind = seen.any(1)
        seen[~behind] = True
        bias = torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))
        hidden = self.core.language_model(
            input_ids=ids[None],
            cross_attention_states=self.states[None],
            cross_attention_mask=bias[None, None],
            full_text_row_masked_out_mask=behind[None, None, :, None].float(),
            use_cache=False,
        )
        logits = self.plain.model.lm_head(hidden.last_hidden_state[0, -len(target) - 1 : -1])
        return float(logits.log_softmax(-1)[torch.arange(len(target)), target].sum())


@pytest.mark.parametrize("positions", ["keep", "repack"])
@pytest.mark.parametrize("name", ["gemma3", "internvl", "llava_onevision", "mllama", "qwen2_5_vl", "qwen3_vl"])
@torch.inference_mode()
def test_scores_are_those_of_a_plain_forward_over_pooled_tokens(name, positions):
    query = query_of(*noise(2), interventions=[Mean(3, positions=positions)])
    (ballot,) = shared(name).answer([query])
    sequence = (CrossAttended if name == "mllama" else Sequence)(plain_model(name), query)
    sequence.pooled(3, positions)
    expected = [sequence.log_prob(option.name) for option in query.options]
    np.testing.assert_allclose(ballot.log_probs, expected, atol=TOLERANCE)
    (whole,) = shared(name).answer([evolve(query, interventions=())])
    assert np.max(np.abs(np.subtract(whole.log_probs, expected))) > TOLERANCE


@pytest.mark.parametrize("positions", ["keep", "repack"])
@pytest.mark.parametrize("name", TREES)
def test_groups_of_one_change_nothing(name, positions):
    images = noise(2)
    queries = [query_of(*images), query_of(images[0])]
    changed = [evolve(query, interventions=[Mean(1, positions=positions)]) for query in queries]
    backend = fresh(name)
    for whole, same in zip(backend.answer(queries), backend.answer(changed), strict=True):
        assert same.log_probs == whole.log_probs
        assert same.usage.tokens == whole.usage.tokens
