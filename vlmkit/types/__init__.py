"""The values that flow through vlmkit, in the order in which they appear.

Example -> Task -> Query -> Answer -> Prediction. All are frozen; none holds a model or a device.
"""

from vlmkit.types.answer import Answer, Ballot, Encoding, Failed, Outcome, Ranking, Text
from vlmkit.types.capability import Capability
from vlmkit.types.example import Example, ImageSource
from vlmkit.types.image import Image, ImageUrl
from vlmkit.types.intervention import Intervention
from vlmkit.types.labels import Label, LabelSpace
from vlmkit.types.mask import Mask
from vlmkit.types.prediction import Prediction, Round
from vlmkit.types.query import Choose, Encode, Generate, Query
from vlmkit.types.readout import Letter, Likelihood, Readout, Reply
from vlmkit.types.reducer import Reducer
from vlmkit.types.task import Ask, Classify, Task
from vlmkit.types.taxonomy import Taxonomy
from vlmkit.types.usage import Tokens, Usage

__all__ = [
    "Answer",
    "Ask",
    "Ballot",
    "Capability",
    "Choose",
    "Classify",
    "Encode",
    "Encoding",
    "Example",
    "Failed",
    "Generate",
    "Image",
    "ImageSource",
    "ImageUrl",
    "Intervention",
    "Label",
    "LabelSpace",
    "Letter",
    "Likelihood",
    "Mask",
    "Outcome",
    "Prediction",
    "Query",
    "Ranking",
    "Readout",
    "Reducer",
    "Reply",
    "Round",
    "Task",
    "Taxonomy",
    "Text",
    "Tokens",
    "Usage",
]
