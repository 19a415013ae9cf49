"""Reports as tables and Markdown, which requests are refused, and how runs are told apart."""

import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlmkit.report.charts import ladder
from vlmkit.report.markdown import cell
from vlmkit.report.subject import distinct_names
from vlmkit.runs import StoredRun


def test_tables_have_a_row_for_each_example(place, tmp_path, capsys, call):
    assert call("report", place / "scored", place / "paper", "--format", "csv", "--output", "-") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    known = [record for name in ("scored", "paper") for record in StoredRun.read(place / name).records()]
    assert [row["id"] for row in rows] == [record.id for record in known]
    for row, record in zip(rows, known, strict=True):
        names = [name for name, _ in record.ranking]
        assert row["target"] == record.target
        assert row["label"] == (record.label or "")
        assert row["correct"] == ("" if record.correct is None else str(record.correct))
        assert row["rank"] == (str(names.index(record.target) + 1) if record.target in names else "")
        assert row["score"] == (str(dict(record.ranking)[record.label]) if record.label in names else "")
        assert int(row["tokens"]) == record.usage.tokens.total
        assert row["error_type"] == ("" if record.error is None else record.error.type)

    pq = pytest.importorskip("pyarrow.parquet")
    written = tmp_path / "table.parquet"
    assert call("report", place / "scored", place / "paper", "--output", written) == 0
    table = pq.read_table(written).to_pylist()
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in table] == rows
    assert call("report", place / "scored", "--output", written) == 0  # its own: overwritten
    assert pq.read_metadata(written).num_rows == 21


def test_markdown_has_the_figures_and_no_markup_of_labels(place, capsys, call):
    assert call("report", place / "scored", place / "paper", "--format", "md", "--output", "-") == 0
    text = capsys.readouterr().out
    accuracy = StoredRun.read(place / "paper").results["metrics"]["accuracy"]
    assert f"| {accuracy['value']:.1%} ({accuracy['low']:.1%} to {accuracy['high']:.1%}) |" in text
    assert "<script>" not in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    assert widths == {14, 7, 4}


@given(st.text())
def test_a_cell_of_markdown_is_one_line_without_markup(text):
    shown = cell(text)
    assert len(shown.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<>`*_]", shown)


def test_only_reports_are_overwritten(place, tmp_path, capsys, call):
    mine = tmp_path / "mine.html"
    mine.write_text("<html>years of work</html>")
    assert call("report", place / "scored", "--output", mine) == 2
    assert "no html that vlmkit report wrote" in capsys.readouterr().err
    assert mine.read_text() == "<html>years of work</html>"
    assert call("report", place / "scored", "--output", mine, "--force", "--thumbnails", "none") == 0
    assert call("report", place / "scored", "--output", mine, "--thumbnails", "none") == 0
    for suffix in ("md", "csv"):
        assert call("report", place / "scored", "--output", tmp_path / f"r.{suffix}") == 0
        assert call("report", place / "scored", "--output", tmp_path / f"r.{suffix}") == 0
        (tmp_path / f"r.{suffix}").write_text("years of work")
        assert call("report", place / "scored", "--output", tmp_path / f"r.{suffix}") == 2
    (tmp_path / "r.parquet").write_bytes(b"PAR1")
    assert call("report", place / "scored", "--output", tmp_path / "r.parquet") == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.html", "r.csv", "r.md", "r.parquet"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((".",), "holds no run"),
        (("scored", "--output", "nowhere/page.html"), "there is no folder nowhere"),
        (("scored", "--output", ".", "--format", "html"), "is a folder"),
        (("scored", "--output", "page.pdf"), "name it .html, .md, .csv, .parquet"),
        (("scored", "--output", "-", "--format", "parquet"), "not written to stdout"),
        (("scored", "--thumbnails", "many"), "neither a number of examples nor none"),
        ((), "Missing argument"),
    ],
)
def test_requests_that_are_wrong_are_refused_in_one_line(place, monkeypatch, capsys, arguments, message, call):
    monkeypatch.chdir(place)
    assert call("report", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error
    assert not (place / "report.html").exists()


@given(st.lists(st.floats(1, 1e9), min_size=1))
def test_an_axis_reaches_over_all_values_with_few_steps(values):
    steps = ladder(values)
    assert steps[0] <= min(values) * (1 + 1e-9) and max(values) <= steps[-1] * (1 + 1e-9)
    assert 2 <= len(steps) <= 11
    assert steps == sorted(set(steps))


@given(st.lists(st.tuples(*[st.sampled_from("ab")] * 3), min_size=1))
def test_names_tell_all_runs_apart(runs):
    names = distinct_names(
        [dict(zip(("strategy", "model", "seed"), run, strict=True)) for run in runs], ["d"] * len(runs)
    )
    assert len(set(names)) == len(runs)
