"""What a prompt of several images costs in the language model, with and without masks and fewer visual tokens.

FLOPs of matrix products, split in attention (scores, and weights times values), projections (queries, keys, values,
output) and feed-forward. Counted are pairs of a token and a key that it sees: a kernel that is given a dense mask
computes the hidden ones as well and saves nothing. Windows of layers, the vision tower and logits are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve, field, frozen
from attrs.validators import ge

from vlmkit import Mask
from vlmkit.measures.flops import Layer, TextShape


@frozen
class Layout:
    """A prompt: text, images, text.

    Args:
        images: Number of images.
        tokens: Visual tokens of each.
        before: Tokens of text before the first image.
        after: Tokens of text after the last image.
    """

    images: int = field(validator=ge(1))
    tokens: int = field(validator=ge(1))
    before: int = field(validator=ge(0))
    after: int = field(validator=ge(0))

    def __len__(self) -> int:
        return self.before + self.images * self.tokens + self.after

    @property
    def pairs(self) -> int:
        """Pairs of a token and a key that it sees, itself included."""
        return _triangle(len(self))

    def masked_pairs(self, text: bool) -> int:
        """Return the pairs that are left where images do not see each other.

        Args:
            text: Whether they see the text before them.
        """
        visual = self.images * self.tokens
        alone = self.images * _triangle(self.tokens) + (visual * self.before if text else 0)
        return _triangle(self.before) + alone + self.after * (self.before + visual) + _triangle(self.after)

    def pooled(self, factor: int) -> Layout:
        """Return the prompt with one visual token for every ``factor`` of an image, the last for what is left."""
        return evolve(self, tokens=-(-self.tokens // factor))


@frozen
class Cost:
    """FLOPs of one or more layers.

    Args:
        attention: Scores, and weights times values.
        projections: Queries, keys, values, output.
        feed_forward: The rest, with the router where there are experts.
    """

    attention: int = 0
    projections: int = 0
    feed_forward: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.attention + self.projections + self.feed_forward

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.attention + other.attention,
            self.projections + other.projections,
            self.feed_forward + other.feed_forward,
        )


PLAIN, MASKED, POOLED, BOTH = "plain", "masked", "pooled", "pooled and masked"


@frozen
class Costs:
    """What each layer costs in each way.

    Args:
        layers: By way (``PLAIN``, ``MASKED``, ``POOLED``, ``BOTH``), the cost of each layer.
        masked: The layers that have the mask.
    """

    layers: Mapping[str, Sequence[Cost]]
    masked: frozenset[int]

    @classmethod
    def of(cls, shape: TextShape, prompt: Layout, mask: Mask, factor: int) -> Costs:
        """Return the costs of a prompt.

        Args:
            shape: The language model.
            prompt: The prompt as it is.
            mask: Which layers hide images from each other.
            factor: Visual tokens that become one.

        Raises:
            SpecError: A layer is not there.
        """
        chosen = mask.chosen(len(shape.layers))
        few = prompt.pooled(factor)

        def ways(prompt: Layout, masked: frozenset[int]) -> Sequence[Cost]:
            return [
                _cost(layer, shape.hidden, len(prompt), prompt.masked_pairs(mask.text) if n in masked else prompt.pairs)
                for n, layer in enumerate(shape.layers)
            ]

        nowhere = frozenset[int]()
        layers = {
            PLAIN: ways(prompt, nowhere),
            MASKED: ways(prompt, chosen),
            POOLED: ways(few, nowhere),
            BOTH: ways(few, chosen),
        }
        return cls(layers, chosen)

    def sums(self, way: str) -> dict[str, int]:
        """Return the FLOPs of one way under the names of what they are a part of."""
        layers = self.layers[way]
        every = sum(layers, Cost())
        chosen = sum((layers[layer] for layer in self.masked), Cost())
        parts = {
            "attention, all layers": every.attention,
            "projections, all layers": every.projections,
            "feed-forward, all layers": every.feed_forward,
            "all layers": every.total,
        }
        if self.masked:
            parts = {"attention, masked layers": chosen.attention, "masked layers": chosen.total, **parts}
        return parts


def _triangle(count: int) -> int:
    return count * (count + 1) // 2


def _cost(layer: Layer, hidden: int, tokens: int, pairs: int) -> Cost:
    # Queries and output are two projections of one size, and count as outputs of the layer there.
    own = 2 * hidden * layer.queries
    return Cost(
        attention=4 * pairs * layer.queries,
        projections=2 * tokens * (layer.inputs + own),
        feed_forward=2 * tokens * (layer.outputs - own),
    )
