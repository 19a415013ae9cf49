"""What plugin authors and vlmkit's own suite test with.

Contract suites for strategies, aggregators and backends; ``vlmkit.testing.strategies`` generates values for hypothesis;
``vlmkit.testing.models`` makes small random models on the spot; ``vlmkit.testing.plain`` scores them the slow, obvious
way.
"""

from vlmkit.testing.contracts import ContractError, check_aggregator, check_backend, check_strategy

__all__ = ["ContractError", "check_aggregator", "check_backend", "check_strategy"]
