"""``check_dataset`` and ``check_reducer``: what is built in passes, and what breaks a rule is told which."""

from __future__ import annotations

import PIL.Image
import pytest
import torch
from attrs import evolve, field, frozen

from vlmkit import Example, LabelSpace, Reducer
from vlmkit.testing import ContractError, check_dataset, check_reducer
from vlmkit_datasets.folder import Folder
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_mimic.reducers.fastv import FastV
from vlmkit_mimic.reducers.mean import Mean
from vlmkit_mimic.reducers.visionzip import VisionZip

RED = PIL.Image.new("RGB", (4, 4), "red")
FIRST = Example("1", (RED,), "red")


@frozen
class Given:
    """A data set of given examples; ``size`` is what it says of their number."""

    examples: tuple[Example, ...] = (FIRST, evolve(FIRST, id="2"))
    size: int = 2
    labels: object = field(factory=lambda: LabelSpace(["red"]))

    def __len__(self):
        return self.size

    def __iter__(self):
        return iter(self.examples)


@frozen
class Worn(Given):
    """A data set that can be read once."""

    read: list = field(factory=list)

    def __iter__(self):
        self.read.append(1)
        return iter(self.examples[: 3 - len(self.read)])


@frozen
class Skimmed(Given):
    """A data set whose skimming tells of other examples."""

    def skim(self):
        return iter(self.examples[:1])


@frozen
class Torn(Given):
    """A data set that breaks off."""

    def __iter__(self):
        yield FIRST
        raise OSError("torn")


@frozen
class Shut(Given):
    """A data set that cannot even be begun with."""

    def __iter__(self):
        raise OSError("shut")


@frozen
class Endless(Given):
    """A data set that does not know its size."""

    def __len__(self):
        raise TypeError("unknown")


def test_built_in_data_sets_pass(tmp_path):
    check_dataset(Glyphs(labels=3, images=4))
    for name in ("red", "dark red"):
        (tmp_path / name).mkdir()
        RED.save(tmp_path / name / "one.png")
    check_dataset(Folder(tmp_path))
    check_dataset(Given())


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Given(labels=("red",)), "labels must be a LabelSpace"),
        (Given(size=3), r"len\(\) must count the examples, but 3 are 2"),
        (Given((FIRST, FIRST)), r"id of its own, but \['1'\] stand several times"),
        (Given((FIRST, Example("2", (RED,), "blue"))), r"targets must be labels, but \['blue'\] are none"),
        (Given((FIRST, Example("2", (b"no picture",)))), "the first pictures must decode, but it raised ImageError"),
        (Given((FIRST, "2")), "an Example must come"),
        (Worn(), "iterating again must give the same examples"),
        (Skimmed(), r"skim\(\) must tell the same"),
        (Torn(), "iterating must raise nothing, but it raised OSError: torn"),
        (Shut(), "iterating must raise nothing, but it raised OSError: shut"),
        (Endless(), r"len\(\) must raise nothing, but it raised TypeError: unknown"),
    ],
)
def test_a_broken_data_set_is_told_which_rule(broken, rule):
    with pytest.raises(ContractError, match=rule):
        check_dataset(broken)


@pytest.mark.parametrize("reducer", [Mean(), Mean(3), FastV(), VisionZip()])
def test_built_in_reducers_pass(reducer):
    check_reducer(reducer)


@frozen
class Wrong(Reducer):
    """A reducer that gives ``groups`` of nothing but the number of tokens, and says that all are left."""

    given: object = field(default=torch.arange, eq=False)
    less: int = 0

    def kept(self, tokens):
        return tokens - self.less

    def groups(self, visual):
        return self.given(len(visual.tokens))


@frozen
class Listing(Mean):
    """A reducer with a parameter that has no hash."""

    layers: list = field(factory=list)


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (Listing(), "a reducer must be hashable"),
        (Wrong(less=1), r"kept\(1\) must count the groups, but 0 was said of 1"),
        (Wrong(lambda tokens: torch.full((tokens,), -1)), "a token at least must be left"),
        (Wrong(lambda tokens: torch.arange(tokens) - 2), "a group must be -1 or more"),
        (Wrong(lambda tokens: torch.arange(tokens).float()), "must be int64"),
        (Wrong(lambda tokens: torch.arange(tokens + 1)), "must be int64"),
        (Wrong(lambda tokens: list(range(tokens))), "groups must come as a tensor, but a list came"),
        (Wrong(torch.randperm), "the same tokens must give the same groups"),
    ],
)
def test_a_broken_reducer_is_told_which_rule(broken, rule):
    with pytest.raises(ContractError, match=rule):
        check_reducer(broken)


def test_a_right_reducer_of_that_form_passes():
    check_reducer(Wrong())
