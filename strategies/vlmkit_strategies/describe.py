"""Describe and answer: describe the images, then choose."""

from __future__ import annotations

from attrs import frozen

from vlmkit import Classify
from vlmkit_strategies.preamble import Preamble


@frozen
class Describe(Preamble):
    """Lets the model describe the images without a label in sight; the inner strategy chooses, given the description.

    The questions that follow show the images as well. The wording is ours.

    Source: arXiv 2605.24799, where it is a baseline (Describe-and-Answer).
    """

    lead = "Description of the image:"

    def request(self, task: Classify) -> str:
        """Return the request for a description, the same for all tasks."""
        return "Describe the main object in the image in detail: its kind, shape, colours, texture and parts."
