"""Hidden states of the vision tower, the projector and the language model's layers, pooled over tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from attrs import define, field
from numpy.typing import NDArray

from vlmkit.local.asked import Asked
from vlmkit.local.bill import Bill
from vlmkit.local.features import depths, pooled
from vlmkit.tokentree.family import Features
from vlmkit.tokentree.packing import Packed, Row
from vlmkit.tokentree.trunks import Trunks, encoder_batches
from vlmkit.types import Encode, Encoding, Tokens, Usage
from vlmkit.types.query import ENCODER, PROJECTOR


@torch.inference_mode()
def encodings(asked: Sequence[Asked], trunks: Trunks, bill: Bill) -> dict[int, Encoding]:
    """Answer ``Encode`` queries, by their place in the call: all images in few passes, all prompts in few forwards.

    Raises:
        SpecError: The language model has no such layer.
        BackendError: Memory runs out even for the smallest forward.
    """
    behind = [depths(_query(one), len(trunks.family.layers)) for one in asked]
    seen = _seen(asked, trunks, bill)
    found: list[dict[str, NDArray[np.float32]]] = []
    for one, wanted in zip(asked, behind, strict=True):
        shown = [seen[picture.digest] for picture in trunks.prepared(one.query.images)]
        stages = {ENCODER: [each.encoded for each in shown], PROJECTOR: [each.projected for each in shown]}
        before = [site for site in _query(one).at if site not in wanted]
        found.append({site: pooled(torch.cat(stages[site]), _query(one).pool) for site in before})
    _through_the_layers(asked, behind, seen, trunks, bill, found)
    return {
        one.index: Encoding({site: features[site] for site in _query(one).at}, prompt=one.prompt)
        for one, features in zip(asked, found, strict=True)
    }


@define(eq=False)
class _Seen:
    """One picture on its way into the language model: after the vision tower, after the projector, as it enters."""

    encoded: torch.Tensor
    projected: torch.Tensor
    features: Features


@define(eq=False)
class _Recorder:
    """Keeps the hidden states after some numbers of layers, each [1, T, hidden], while a language model runs."""

    wanted: Collection[int]
    states: dict[int, torch.Tensor] = field(factory=dict)
    _depth: int = -1
    _latest: Any = None

    def reach(self, depth: int, states: torch.Tensor) -> None:
        if depth <= self._depth:  # another forward
            self._depth = -1
        # A layer of cross-attention without anything to attend to is skipped: it leaves the states as they were.
        self.states |= {skipped: self._latest for skipped in self.wanted if self._depth < skipped < depth}
        if depth in self.wanted:
            self.states[depth] = states
        self._depth, self._latest = depth, states


@contextmanager
def _recording(layers: Sequence[torch.nn.Module], wanted: Collection[int]) -> Iterator[Mapping[int, torch.Tensor]]:
    recorder = _Recorder(wanted)

    def entered(_: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
        recorder.reach(0, args[0] if args else named["hidden_states"])

    hooks = [layers[0].register_forward_pre_hook(entered, with_kwargs=True)]
    for depth, layer in enumerate(layers, 1):

        def left(_: Any, __: Any, output: Any, depth: int = depth) -> None:
            recorder.reach(depth, output[0] if isinstance(output, tuple) else output)

        hooks.append(layer.register_forward_hook(left))
    try:
        yield recorder.states
    finally:
        for hook in hooks:
            hook.remove()


def _query(one: Asked) -> Encode:
    assert isinstance(one.query, Encode)
    return one.query


def _seen(asked: Sequence[Asked], trunks: Trunks, bill: Bill) -> dict[str, _Seen]:
    """Encode every picture once, at the expense of the first query that shows it."""
    family = trunks.family
    payers: dict[str, int] = {}
    pictures = {}
    for one in asked:
        for picture in trunks.prepared(one.query.images):
            payers.setdefault(picture.digest, one.index)
            pictures[picture.digest] = picture
    seen = {}
    for batch in encoder_batches(list(pictures.values())):
        outputs: list[torch.Tensor] = []
        hook = family.vision_tower.register_forward_hook(
            lambda _, __, output, outputs=outputs: outputs.append(output.last_hidden_state)
        )
        try:
            features = family.encode(batch)
        finally:
            hook.remove()
        for picture, own, stages in zip(
            batch, features, family.stages(torch.cat(outputs), batch, features), strict=True
        ):
            seen[picture.digest] = _Seen(*stages, own)
            bill.add(payers[picture.digest], Usage(images_encoded=1))
    return seen


def _through_the_layers(
    asked: Sequence[Asked],
    behind: Sequence[Mapping[str, int]],
    seen: Mapping[str, _Seen],
    trunks: Trunks,
    bill: Bill,
    found: Sequence[dict[str, NDArray[np.float32]]],
) -> None:
    """Run the prompts of those who ask for a layer, and add to ``found``."""
    family = trunks.family
    deep = [index for index, wanted in enumerate(behind) if wanted]
    rows = []
    for one in (asked[index] for index in deep):
        pictures = trunks.prepared(one.query.images)
        features = [seen[picture.digest].features for picture in pictures]
        rows.append(
            Row(
                owner=one.index,
                tokens=one.tokens,
                starts=trunks.starts(one.tokens),
                ends=[len(one.tokens)] * len(one.tokens),
                positions=family.positions(one.tokens, pictures),
                features=features,
                sights=family.sights(one.tokens, features),
            )
        )
        bill.add(one.index, Usage(tokens=Tokens(trunk=len(one.tokens))))
    last = len(family.layers)
    wanted = {depth for index in deep for depth in behind[index].values()} - {last}
    with _recording(family.layers, wanted) as recorded:

        def keep(which: range, packed: Packed, hidden: torch.Tensor) -> None:
            for place, (start, _) in zip(which, packed.spans, strict=True):
                one = asked[deep[place]]
                image = _query(one).over == "image"
                chosen = [i for i, token in enumerate(one.tokens, start) if (token == family.image_token) == image]
                for site, depth in behind[deep[place]].items():
                    states = hidden if depth == last else recorded[depth][0]
                    found[deep[place]][site] = pooled(states[chosen], _query(one).pool)

        trunks.executor.run(rows, keep, bill)
