"""What plugin authors and vlmkit's own suite test with.

Contract suites for strategies, aggregators, backends, data sets and reducers; ``vlmkit.testing.strategies`` generates
values for hypothesis; ``vlmkit.testing.models`` makes small random models on the spot; ``vlmkit.testing.parity`` holds
backends against ``vlmkit.testing.plain``, the slow and obvious way.
"""

from vlmkit.testing.contracts import (
    ContractError,
    check_aggregator,
    check_backend,
    check_dataset,
    check_reducer,
    check_strategy,
)

__all__ = [
    "ContractError",
    "check_aggregator",
    "check_backend",
    "check_dataset",
    "check_reducer",
    "check_strategy",
]
