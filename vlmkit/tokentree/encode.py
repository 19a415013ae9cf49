"""Hidden states of the vision tower, the projector and the language model's layers, pooled over tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from attrs import define, field, frozen
from numpy.typing import NDArray

from vlmkit.local.bill import Bill
from vlmkit.local.features import depths, pooled
from vlmkit.tokentree.family import Family, Features, Picture
from vlmkit.tokentree.packing import Packed, Row
from vlmkit.tokentree.trunks import Trunks, encoder_batches
from vlmkit.types import Encode, Encoding, Tokens, Usage
from vlmkit.types.query import ENCODER, PROJECTOR


@frozen(eq=False)
class _Asked:
    """A query on its way through the model.

    Args:
        index: Its place in the ``answer`` call.
        query: The query.
        prompt: The whole prompt.
        tokens: The prompt's token ids, placeholders expanded.
        pictures: The images, prepared.
        depths: How many layers lie behind each site in the language model.
        found: What is known of the answer, by site.
    """

    index: int
    query: Encode
    prompt: str
    tokens: Sequence[int]
    pictures: Sequence[Picture]
    depths: Mapping[str, int]
    found: dict[str, NDArray[np.float32]] = field(factory=dict)

    @property
    def answer(self) -> Encoding:
        """The answer, once all is known."""
        return Encoding({site: self.found[site] for site in self.query.at}, prompt=self.prompt)


@frozen(eq=False)
class _Seen:
    """One picture after the vision tower, after the projector (both [tokens, hidden]), and as its family encodes it."""

    encoded: torch.Tensor
    projected: torch.Tensor
    features: Features


@torch.inference_mode()
def encodings(queries: Mapping[int, Encode], trunks: Trunks, bill: Bill) -> dict[int, Encoding]:
    """Answer queries, by their place in the call; as many go together as fit one forward.

    Raises:
        SpecError: The language model has no such layer.
        BackendError: Memory runs out even for the smallest forward.
    """
    answers: dict[int, Encoding] = {}
    for batch in _batches(_asked(queries, trunks), trunks.executor.budget.tokens):
        seen = _seen(batch, trunks.family, bill)
        for one in batch:
            shown = [seen[picture.digest] for picture in one.pictures]
            stages = {ENCODER: [each.encoded for each in shown], PROJECTOR: [each.projected for each in shown]}
            for site in set(one.query.at) - set(one.depths):
                one.found[site] = pooled(torch.cat(stages[site]), one.query.pool)
        _run_layers([one for one in batch if one.depths], seen, trunks, bill)
        answers |= {one.index: one.answer for one in batch}
    return answers


def _asked(queries: Mapping[int, Encode], trunks: Trunks) -> Iterator[_Asked]:
    family = trunks.family
    prompts = [family.chat(query.text, len(query.images)) for query in queries.values()]
    for (index, query), prompt, ids in zip(queries.items(), prompts, family.tokenize(prompts), strict=True):
        ready, alone = trunks.pictures, len(query.images) == 1
        pictures = [ready.whole(*pair, alone) for pair in zip(query.images, ready.of(query.images), strict=True)]
        tokens = family.expand(ids, pictures)
        yield _Asked(index, query, prompt, tokens, pictures, depths(query, len(family.layers)))


def _batches(asked: Iterable[_Asked], budget: int) -> Iterator[list[_Asked]]:
    """Deal queries out so that no batch has more tokens than the budget, or a single query."""
    batch: list[_Asked] = []
    for one in asked:
        if batch and sum(len(other.tokens) for other in batch) + len(one.tokens) > budget:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _seen(batch: Sequence[_Asked], family: Family, bill: Bill) -> dict[str, _Seen]:
    """Encode every picture once, at the expense of the first query that shows it."""
    shown = [(picture, one.index) for one in reversed(batch) for picture in one.pictures]
    pictures = {picture.digest: picture for picture, _ in shown}
    payers = {picture.digest: index for picture, index in shown}
    seen = {}
    for several in encoder_batches(list(pictures.values())):
        outputs: list[torch.Tensor] = []

        def left(_: Any, __: Any, output: Any, outputs: list[torch.Tensor] = outputs) -> None:
            outputs.append(output.last_hidden_state)

        hook = family.vision_tower.register_forward_hook(left)
        try:
            features = family.encode(several)
        finally:
            hook.remove()
        stages = family.stages(torch.cat(outputs), several, features)
        for picture, stage, own in zip(several, stages, features, strict=True):
            seen[picture.digest] = _Seen(*stage, own)
            bill.add(payers[picture.digest], Usage(images_encoded=1))
    return seen


def _run_layers(batch: Sequence[_Asked], seen: Mapping[str, _Seen], trunks: Trunks, bill: Bill) -> None:
    """Run whole prompts through the language model and pool what leaves the layers that are asked for."""
    family = trunks.family
    last = len(family.layers)
    rows = []
    for one in batch:
        features = [seen[picture.digest].features for picture in one.pictures]
        rows.append(
            Row(
                owner=one.index,
                tokens=one.tokens,
                starts=trunks.starts(one.tokens),
                ends=[len(one.tokens)] * len(one.tokens),
                positions=family.positions(one.tokens, one.pictures),
                features=features,
                sights=family.sights(one.tokens, features),
            )
        )
        bill.add(one.index, Usage(tokens=Tokens(trunk=len(one.tokens))))
    wanted = {depth for one in batch for depth in one.depths.values()} - {last}
    with _recording(family.layers, wanted) as recorded:

        def keep(which: range, packed: Packed, hidden: torch.Tensor) -> None:
            for one, (start, _) in zip(batch[which.start : which.stop], packed.spans, strict=True):
                image = one.query.over == "image"
                chosen = [i for i, token in enumerate(one.tokens, start) if (token == family.image_token) == image]
                for site, depth in one.depths.items():
                    states = hidden if depth == last else recorded[depth][0]
                    one.found[site] = pooled(states[chosen], one.query.pool)

        trunks.executor.run(rows, keep, bill)


@contextmanager
def _recording(layers: Sequence[torch.nn.Module], wanted: Collection[int]) -> Iterator[Mapping[int, torch.Tensor]]:
    """Keep the hidden states behind some numbers of layers, each [1, T, hidden], of the latest forward."""
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


@define(eq=False)
class _Recorder:
    wanted: Collection[int]
    states: dict[int, torch.Tensor] = field(factory=dict)
    _depth: int = -1
    _latest: Any = None

    def reach(self, depth: int, states: torch.Tensor) -> None:
        if depth == 0:  # another forward
            self._depth = -1
        # A layer of cross-attention that has nothing to attend to is skipped: it leaves the states as they were.
        self.states.update((skipped, self._latest) for skipped in self.wanted if self._depth < skipped < depth)
        if depth in self.wanted:
            self.states[depth] = states
        self._depth, self._latest = depth, states
