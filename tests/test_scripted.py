"""The scripted backend: an honest fake with settable errors."""

from __future__ import annotations

import json
from pathlib import Path

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Backend, Choose, Generate, Image, Label, Letter, Likelihood, Outcome, Reply
from vlmkit.errors import BackendError, DataError
from vlmkit_adapters.scripted import GARBAGE, ScriptedBackend


def image(number: int) -> Image:
    return Image(PIL.Image.new("RGB", (2, 2), (number % 256, number // 256, 0)), source=f"image-{number}")


def choose(number: int, names, **changes) -> Choose:
    return Choose(images=(image(number),), options=tuple(map(Label, names)), **changes)


def names(count: int) -> list[str]:
    return [f"label {number}" for number in range(count)]


def accuracy(backend: ScriptedBackend, options: list[str], images: int = 400, **changes) -> float:
    ballots = backend.answer([choose(number, options, **changes) for number in range(images)])
    return sum(b.choice == backend.right_option([image(i)], options) for i, b in enumerate(ballots)) / images


def test_it_is_a_backend() -> None:
    assert isinstance(ScriptedBackend(), Backend)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 9)), min_size=1, max_size=8), st.integers(0, 7))
def test_an_answer_depends_on_its_own_query_alone(cells, position) -> None:
    backend = ScriptedBackend(accuracy=0.5, none_rate=0.2)
    queries = [choose(number, names(count), allow_none=True) for number, count in cells]
    position %= len(queries)
    assert backend.answer(queries)[position] == backend.answer([queries[position]])[0]


def test_order_and_seed_matter() -> None:
    ballots = [
        ScriptedBackend(accuracy=0.5, seed=seed).answer([choose(1, order)])[0]
        for seed in (0, 1)
        for order in ("abc", "cba")
    ]
    assert len({tuple(sorted(dict(ballot.ranking).items())) for ballot in ballots}) == 4


@pytest.mark.parametrize("readout", [Likelihood(), Letter(), Reply()], ids=lambda readout: type(readout).__name__)
def test_the_readouts_agree_and_scores_fit_the_choice(readout) -> None:
    backend = ScriptedBackend(accuracy=0.6, none_rate=0.3)
    outcomes = set()
    for number in range(40):
        (ballot,) = backend.answer([choose(number, names(8), readout=readout, allow_none=True)])
        (reference,) = backend.answer([choose(number, names(8), allow_none=True)])
        assert (ballot.choice, ballot.outcome) == (reference.choice, reference.outcome)
        outcomes.add(ballot.outcome)
        if isinstance(readout, Reply):
            assert ballot.log_probs is None
            assert ballot.reply == (ballot.choice or "None")
        else:
            best_label, best = ballot.ranking[0]
            assert best_label == ballot.choice if best >= ballot.none_log_prob else ballot.choice is None
    assert outcomes == {Outcome.SELECTED, Outcome.NONE}


def test_accuracy_is_met() -> None:
    assert accuracy(ScriptedBackend(accuracy=0.7), names(10)) == pytest.approx(0.7, abs=0.08)
    assert accuracy(ScriptedBackend(accuracy=1.0), names(10)) == 1.0
    assert accuracy(ScriptedBackend(accuracy=0.0), names(10)) == 0.0


def test_dilution_makes_accuracy_collapse_with_the_number_of_options() -> None:
    backend = ScriptedBackend(accuracy=0.95, dilution=0.01)
    for count in (2, 20, 100):
        expected = 0.95 * 0.99 ** (count - 1)
        assert accuracy(backend, names(count)) == pytest.approx(expected, abs=0.08)


def test_the_right_option_stays_right_in_every_subset() -> None:
    backend = ScriptedBackend()
    right = backend.right_option([image(3)], names(50))
    assert right == backend.right_option([image(3)], [right, *names(20)])
    assert backend.right_option([image(3)], []) is None


def test_order_bias_favours_the_first_option() -> None:
    def first(bias: float) -> int:
        backend = ScriptedBackend(accuracy=0.5, order_bias=bias)
        return sum(ballot.choice == "label 0" for ballot in backend.answer([choose(n, names(5)) for n in range(200)]))

    assert first(0.0) < first(2.0) < first(20.0) == 200


def test_none_and_invalid_replies_come_at_their_rates() -> None:
    def share(outcome: Outcome, backend: ScriptedBackend, **changes) -> float:
        ballots = backend.answer([choose(number, names(5), **changes) for number in range(300)])
        return sum(ballot.outcome is outcome for ballot in ballots) / 300

    assert share(Outcome.NONE, ScriptedBackend(none_rate=0.3), allow_none=True) == pytest.approx(0.3, abs=0.08)
    assert share(Outcome.NONE, ScriptedBackend(none_rate=0.3)) == 0
    assert share(Outcome.NONE, ScriptedBackend(none_rate=1.0), allow_none=True) == 1
    assert share(Outcome.INVALID, ScriptedBackend(invalid_rate=0.3), readout=Reply()) == pytest.approx(0.3, abs=0.08)
    assert share(Outcome.INVALID, ScriptedBackend(invalid_rate=1.0), readout=Likelihood()) == 0


def test_the_truth_can_be_told_by_source_or_digest_or_file(tmp_path: Path) -> None:
    file = tmp_path / "truth.json"
    file.write_text(json.dumps({"image-1": "label 4"}))
    for truth in ({"image-1": "label 4"}, {image(1).digest: "label 4"}, file):
        (ballot,) = ScriptedBackend(accuracy=1.0, truth=truth).answer([choose(1, names(9))])
        assert ballot.choice == "label 4"
    with pytest.raises(BackendError, match="no truth for image image-2"):
        ScriptedBackend(truth=file).answer([choose(2, names(9))])


def test_a_bad_truth_file_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        ScriptedBackend(truth=tmp_path / "missing.json")
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(DataError, match="not a JSON object"):
        ScriptedBackend(truth=tmp_path / "list.json")


def test_free_questions_get_the_truth_or_garbage() -> None:
    query = Generate(images=(image(1),), text="What is it?")
    (right,) = ScriptedBackend(accuracy=1.0, truth={"image-1": "a cat"}).answer([query])
    (unknown,) = ScriptedBackend(accuracy=1.0).answer([query])
    assert (right.text, unknown.text) == ("a cat", GARBAGE)


def test_identity_is_json_and_names_the_settings() -> None:
    plain, told = ScriptedBackend(accuracy=0.5), ScriptedBackend(accuracy=0.5, truth={"a": "b"})
    assert json.loads(json.dumps(plain.identity))["accuracy"] == 0.5
    assert plain.identity != told.identity
