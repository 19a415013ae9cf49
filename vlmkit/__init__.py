"""Inference strategies for vision-language models where plain prompting fails.

A strategy says what to ask, a backend says how to answer, the engine stands between them and makes it fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vlmkit.contracts import (
    Aggregator,
    Backend,
    Calibrates,
    Concurrent,
    Dataset,
    OffersTaxonomy,
    Prepares,
    Remembers,
    Reports,
    Reproducible,
    ServesModels,
    Skims,
    Solving,
    Strategy,
)
from vlmkit.intervened import Intervened
from vlmkit.prompts import Prompt
from vlmkit.registry.hooks import hookimpl
from vlmkit.together import together
from vlmkit.types import (
    Answer,
    Ask,
    Ballot,
    Capability,
    Choose,
    Classify,
    Encode,
    Encoding,
    Example,
    Failed,
    Generate,
    Image,
    Intervention,
    Label,
    LabelSpace,
    Letter,
    Likelihood,
    Mask,
    Outcome,
    Prediction,
    Query,
    Ranking,
    Readout,
    Reducer,
    Reply,
    Round,
    Task,
    Taxonomy,
    Text,
    Tokens,
    Usage,
)

if TYPE_CHECKING:
    from vlmkit.engine import Engine as Engine
    from vlmkit.engine.pipeline import Pipeline as Pipeline
    from vlmkit.registry import Registry as Registry

__version__ = "0.1.0"

__all__ = [
    "Aggregator",
    "Answer",
    "Ask",
    "Backend",
    "Ballot",
    "Calibrates",
    "Capability",
    "Choose",
    "Classify",
    "Concurrent",
    "Dataset",
    "Encode",
    "Encoding",
    "Engine",
    "Example",
    "Failed",
    "Generate",
    "Image",
    "Intervened",
    "Intervention",
    "Label",
    "LabelSpace",
    "Letter",
    "Likelihood",
    "Mask",
    "OffersTaxonomy",
    "Outcome",
    "Pipeline",
    "Prediction",
    "Prepares",
    "Prompt",
    "Query",
    "Ranking",
    "Readout",
    "Reducer",
    "Registry",
    "Remembers",
    "Reply",
    "Reports",
    "Reproducible",
    "Round",
    "ServesModels",
    "Skims",
    "Solving",
    "Strategy",
    "Task",
    "Taxonomy",
    "Text",
    "Tokens",
    "Usage",
    "hookimpl",
    "together",
]

_LAZY = {"Engine": "vlmkit.engine", "Pipeline": "vlmkit.engine.pipeline", "Registry": "vlmkit.registry"}


def __getattr__(name: str) -> Any:
    """Import the names that strategies do not need at first use."""
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'vlmkit' has no attribute {name!r}")
