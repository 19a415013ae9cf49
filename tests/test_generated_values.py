"""The hypothesis strategies give legal values, hard ones among them."""

from __future__ import annotations

import pytest
from hypothesis import find, given

from vlmkit import Ask, Label, LabelSpace, Outcome
from vlmkit.testing.strategies import HARD_NAMES, ballots, label_names, label_spaces, tasks
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.flat import Flat


@given(name=label_names())
def test_generated_names_are_legal(name):
    assert Label(name).name == name


@given(space=label_spaces(min_size=2, max_size=4))
def test_generated_label_spaces_have_the_size_asked_for(space):
    assert 2 <= len(space) <= 4


@given(task=tasks(label_spaces(max_size=5), free_questions=True))
def test_generated_tasks_can_be_solved(task):
    solving = Flat().solve(task)
    try:
        (query,) = next(solving)
        solving.send(ScriptedBackend().answer([query]))
    except StopIteration as stop:
        if isinstance(task, Ask):
            assert stop.value.text
        else:
            assert (stop.value.label in task.labels.names) == (len(task.labels) > 0)


@given(scored=ballots(scored=True), worded=ballots(scored=False))
def test_generated_ballots_are_of_the_kind_asked_for(scored, worded):
    assert scored.log_probs is not None and scored.reply is None
    assert worded.log_probs is None and worded.reply is not None


@pytest.mark.parametrize("outcome", Outcome)
@pytest.mark.parametrize("scored", [True, False])
def test_generated_ballots_have_every_outcome(outcome, scored):
    wanted = Outcome.SELECTED if scored and outcome is Outcome.INVALID else outcome
    assert find(ballots(scored=scored), lambda ballot: ballot.outcome is wanted).outcome is wanted


def test_hard_names_can_share_one_label_space():
    assert LabelSpace(HARD_NAMES).collisions
