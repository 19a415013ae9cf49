"""Contract suites: each takes one object and raises ``ContractError`` at the first rule that it breaks.

They need no test framework and no model, and none but that of reducers needs torch.
"""

from vlmkit.testing.contracts.aggregator import check_aggregator
from vlmkit.testing.contracts.backend import check_backend
from vlmkit.testing.contracts.dataset import check_dataset
from vlmkit.testing.contracts.reducer import check_reducer
from vlmkit.testing.contracts.rules import ContractError
from vlmkit.testing.contracts.strategy import check_strategy

__all__ = [
    "ContractError",
    "check_aggregator",
    "check_backend",
    "check_dataset",
    "check_reducer",
    "check_strategy",
]
