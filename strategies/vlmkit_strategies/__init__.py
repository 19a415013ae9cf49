"""Strategies, one per module, and the aggregators beside them."""

from vlmkit import Registry, hookimpl

_DCI = "arXiv 2605.24799"


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the built-in strategies and aggregators."""
    registry.strategy("flat", "vlmkit_strategies.flat:Flat", summary="One question with every label in it")
    registry.strategy(
        "dci",
        "vlmkit_strategies.dci:DCI",
        summary="Divide and conquer: a tournament of questions with few labels each",
        source=_DCI,
    )
    registry.strategy(
        "auto",
        "vlmkit_strategies.auto:Auto",
        summary="Measures flat and dci on calibration examples, and uses the one that pays",
    )
    registry.strategy(
        "cot",
        "vlmkit_strategies.cot:ChainOfThought",
        summary="Reasons over all labels in text first, then asks",
        source="arXiv 2205.11916",
        wraps=True,
    )
    registry.strategy(
        "plan-and-solve",
        "vlmkit_strategies.plan_and_solve:PlanAndSolve",
        summary="Plans and reasons over all labels in text first, then asks",
        source="arXiv 2305.04091",
        wraps=True,
    )
    registry.strategy(
        "describe",
        "vlmkit_strategies.describe:Describe",
        summary="Describes the images in text first, then asks",
        source=_DCI,
        wraps=True,
    )
    registry.strategy(
        "self-consistency",
        "vlmkit_strategies.self_consistency:SelfConsistency",
        summary="Draws several chains of thought, asks after each, and takes the majority",
        source="arXiv 2203.11171",
        wraps=True,
    )
    registry.strategy(
        "vote",
        "vlmkit_strategies.vote:Vote",
        summary="Asks under several orders of the labels and aggregates the answers",
        wraps=True,
    )
    registry.strategy(
        "tree",
        "vlmkit_strategies.tree:Tree",
        summary="Goes down a taxonomy, one choice among siblings after the other",
        wraps=True,
    )
    aggregators = "vlmkit_strategies.aggregators"
    registry.aggregator(
        "winners", f"{aggregators}.winners:Winners", summary="The choice of each ballot, in their order", source=_DCI
    )
    registry.aggregator("topk", f"{aggregators}.topk:TopK", summary="The k best of each ballot, in their order")
    registry.aggregator("vote", f"{aggregators}.vote:Vote", summary="Number of ballots that chose a label")
    registry.aggregator("borda", f"{aggregators}.borda:Borda", summary="Points by rank, summed over ballots")
    registry.aggregator("product", f"{aggregators}.product:Product", summary="Product of the ballots' probabilities")
