"""What a run would ask and cost, found out without weights.

    strategy -> its real questions -> made-up answers, billed as the model's own would be -> figures

``planner`` drives the strategies, ``figures`` are what comes out, ``sizes`` compares group sizes.
"""

from vlmkit.planning.figures import Figures, Flops, Plan, Planned, Rate, Weights
from vlmkit.planning.planner import Planner
from vlmkit.planning.sizes import Sizes, compare_sizes, spaced

__all__ = ["Figures", "Flops", "Plan", "Planned", "Planner", "Rate", "Sizes", "Weights", "compare_sizes", "spaced"]
