"""Contract suites: each takes one object and raises ``ContractError`` at the first rule that it breaks.

They need no test framework, no model and no torch.
"""

from vlmkit.testing.contracts.aggregator import check_aggregator
from vlmkit.testing.contracts.backend import check_backend
from vlmkit.testing.contracts.rules import ContractError
from vlmkit.testing.contracts.strategy import check_strategy

__all__ = ["ContractError", "check_aggregator", "check_backend", "check_strategy"]
