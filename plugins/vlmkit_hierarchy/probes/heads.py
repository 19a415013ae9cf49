"""Linear heads: multinomial logistic regression on standardised features."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from attrs import frozen
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

DECAYS = (1.0, 0.1, 0.01, 0.001, 0.0001)
"""Weight decays that validation chooses from, strongest first."""

STEPS = 100
"""Most iterations of L-BFGS for each weight decay."""


@frozen(eq=False)
class Scaler:
    """Brings features to mean 0 and standard deviation 1 over the training part.

    Args:
        mean: float32 [hidden].
        deviation: float32 [hidden], never 0.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor) -> Self:
        """Measure features, float32 [rows, hidden]."""
        deviation = features.std(0, correction=0)
        return cls(features.mean(0), torch.where(deviation > 0, deviation, 1.0))

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Return scaled features."""
        return (features - self.mean) / self.deviation


@frozen(eq=False)
class Head:
    """A trained head.

    Args:
        weight: float32 [classes, hidden].
        bias: float32 [classes].
        decay: The weight decay that validation chose.
        validation: Its accuracy on the validation part.
    """

    weight: torch.Tensor
    bias: torch.Tensor
    decay: float
    validation: float

    def predict(self, features: torch.Tensor) -> NDArray[np.int64]:
        """Return the class of each row, int64 [rows], of scaled features."""
        classes: NDArray[np.int64] = (features @ self.weight.T + self.bias).argmax(-1).cpu().numpy()
        return classes


def train_head(
    train: tuple[torch.Tensor, torch.Tensor], validation: tuple[torch.Tensor, torch.Tensor], classes: int
) -> Head:
    """Train on one part and choose the weight decay on the other; on a tie the stronger one wins.

    Each weight decay starts where the one before ended: the loss has one minimum, wherever one starts.

    Args:
        train: Scaled features, float32 [rows, hidden], and their classes, int64 [rows], on one device.
        validation: The same.
        classes: Number of classes.

    Source: the linear probe of A. Radford et al., Learning transferable visual models from natural language supervision
        (ICML 2021), appendix A.3: L-BFGS, the regularisation swept on a validation split.
    """
    features, targets = train
    weight = torch.zeros(classes, features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(classes, device=features.device, requires_grad=True)
    best: Head | None = None
    for decay in DECAYS:
        optimiser = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

        def loss(optimiser: torch.optim.Optimizer = optimiser, decay: float = decay) -> torch.Tensor:
            optimiser.zero_grad()
            value = cross_entropy(features @ weight.T + bias, targets) + decay / 2 * weight.square().sum()
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimiser.step(loss)  # type: ignore[no-untyped-call]
        head = Head(weight.detach().clone(), bias.detach().clone(), decay, 0.0)
        right = head.predict(validation[0]) == validation[1].cpu().numpy()
        if best is None or right.mean() > best.validation:
            best = Head(head.weight, head.bias, decay, float(right.mean()))
    assert best is not None
    return best
